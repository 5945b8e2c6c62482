/**
 * A crowd that watches a page, in a process of its own: each viewer keeps its stream open and comes back
 * a second after it lost it or got none. Says twice a second how many there are, as a line of JSON.
 *
 * Arguments: the page's address, how many viewers.
 */
const [url, count] = Deno.args;
let [watching, turned_away, without_hint, failed] = [0, 0, 0, 0];

for (let viewer = 0; viewer < Number(count); viewer++) view();
setInterval(() => {
  console.log(JSON.stringify({ watching, turned_away, without_hint, failed }));
}, 500);

async function view(): Promise<void> {
  for (;;) {
    try {
      const response = await fetch(url);
      if (response.ok) await watch(response);
      else {
        turned_away++;
        if (response.status !== 503 || !response.headers.has("retry-after")) without_hint++;
        await response.body?.cancel();
      }
    } catch {
      failed++;
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function watch(response: Response): Promise<void> {
  watching++;
  try {
    for await (const _ of response.body!);
  } finally {
    watching--;
  }
}
