/**
 * A person in a real browser: types a task, sees its steps arrive live, and its result. A process of
 * its own, because the browser's driver asks for more than a test is granted.
 *
 * Arguments: the page's address, the task, its result, an agent at work and how it stands in the end, as the
 * page says them, and a file for a screenshot if one is wanted.
 */
import assert from "node:assert/strict";
import { type Browser, chromium } from "playwright-core";
import { onceGiven } from "../support/until.ts";

const EXECUTABLE = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // In place of the driver's own list. The popups are pages of the browser's own, which nobody opens.
  "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,AimEnabled,PreconnectToSearch," +
  "OptimizationHints,NetworkTimeServiceQuerying,MediaRouter,HttpsUpgrades,PaintHolding",
];

async function openBrowser(): Promise<Browser> {
  for (const executablePath of EXECUTABLE) {
    const there = await Deno.stat(executablePath).catch(() => null);
    if (there) return await chromium.launch({ executablePath, args: QUIET });
  }
  throw new Error("This test needs Chromium: apt-get install chromium");
}

const [url, task, result, agent, end, shot] = Deno.args;
const browser = await openBrowser();
// Whatever is waited for then fails, because its page is gone.
const inTime = onceGiven(60_000, () => browser.close());
try {
  const page = await browser.newPage({
    viewport: { width: 1280, height: 900 },
    // Without a graphics card what pulses is drawn by the processor, sixty times a second.
    reducedMotion: "reduce",
  });
  page.setDefaultTimeout(0);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));

  await page.goto(url);
  await page.getByRole("textbox").fill(task);
  await page.locator("form:has(textarea) button[type=submit]").click();
  await page.waitForURL(/\/trees\//);

  // No reload from here on: whatever appears was sent.
  const before = await page.locator("details").count();
  await page.getByText(result).first().waitFor();
  await page.waitForFunction(
    (before: number) => document.querySelectorAll("details").length > before + 10,
    before,
  );
  await page.getByText(agent, { exact: true }).first().waitFor();
  await page.getByText(end).waitFor();
  assert.deepEqual(complaints, []);
  if (shot) await page.screenshot({ path: shot });
} finally {
  inTime();
  await browser.close();
}
