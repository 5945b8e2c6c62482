/**
 * A real browser for the bench: for each address on its input it opens the page, and says how many ms
 * after it had left the model the first word of a reply stood there.
 */
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const page = await browser.newPage();
  await page.goto(text.trim());
  const late = await page.evaluate(() =>
    new Promise<number>((resolve) => {
      // A word is the moment at which it left; this clock is the same.
      const look = () => {
        const word = /\b\d{13}\b/.exec(
          document.querySelector(".draft:not([hidden])")?.textContent ?? "",
        );
        if (!word) return;
        resolve(Date.now() - Number(word[0]));
      };
      new MutationObserver(look).observe(document.body, {
        childList: true,
        subtree: true,
        characterData: true,
        attributes: true,
      });
      look();
    })
  );
  console.log(late);
  await page.close();
}
await browser.close();
