/**
 * Runs in a thread of its own and does nothing but look how late its timer is: what that comes to, the
 * machine takes from everybody at that moment. Asked, it tells the longest since it was asked before.
 */
declare const self: { onmessage: () => void; postMessage(late_ms: number): void };

const EVERY_MS = 5;
let looked = performance.now();
let late_ms = 0;
setInterval(() => {
  const now = performance.now();
  late_ms = Math.max(late_ms, now - looked - EVERY_MS);
  looked = now;
}, EVERY_MS);

self.onmessage = () => {
  self.postMessage(late_ms);
  late_ms = 0;
};
