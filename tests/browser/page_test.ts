/** A person in a real browser: types a task, sees its steps arrive and its result. */
import assert from "node:assert/strict";
import { type Browser, chromium } from "playwright-core";
import { startTroupe } from "../support/troupe.ts";

const EXECUTABLE = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function openBrowser(): Promise<Browser> {
  for (const executablePath of EXECUTABLE) {
    const there = await Deno.stat(executablePath).catch(() => null);
    if (there) return await chromium.launch({ executablePath, args: QUIET });
  }
  throw new Error("This test needs Chromium: apt-get install chromium");
}

Deno.test({
  name: "a person types a task, sees its steps arrive live, and its result",
  // The browser driver keeps pipes and timers of its own beyond its close().
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const troupe = await startTroupe({ env: {} });
    const browser = await openBrowser();
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));

      await page.goto(troupe.url);
      await page.getByRole("textbox").fill("Work out what a two-day workshop for 24 people costs");
      await page.getByRole("textbox").press("Control+Enter").catch(() => {});
      if (!page.url().includes("/trees/")) {
        await page.locator("form:has(textarea) button[type=submit]").click();
      }
      await page.waitForURL(/\/trees\//);

      // No reload from here on: whatever appears was sent.
      const before = await page.locator("details").count();
      await page.getByText("The workshop costs 2420 euros").first().waitFor({ timeout: 30_000 });
      await page.waitForFunction(
        (before) => document.querySelectorAll("details").length > before + 10,
        before,
        { timeout: 30_000 },
      );
      await page.getByText("task_breakdown", { exact: true }).first().waitFor();
      assert.deepEqual(complaints, []);

      const shot = Deno.env.get("TROUPE_SCREENSHOT");
      if (shot) await page.screenshot({ path: shot });
    } finally {
      await browser.close();
      await troupe.stop();
    }
  },
});
