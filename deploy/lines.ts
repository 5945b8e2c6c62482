/** What another process prints, line by line. */

/**
 * Resolves at the end of the stream; what stands after its last line end is no line.
 * @throws what the stream fails of
 */
export async function followLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
}
