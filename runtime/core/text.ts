/**
 * Head and tail of a text that is too long; the text itself when it fits.
 * @param chars most characters that are kept of it
 * @param between what stands for the characters that are left out, by their number
 */
export function headAndTail(
  text: string,
  chars: number,
  between: (left_out: number) => string,
): string {
  if (text.length <= chars) return text;
  const half = Math.floor(chars / 2);
  const tail = text.slice(text.length - half);
  return `${text.slice(0, half)}\n${between(text.length - 2 * half)}\n${tail}`;
}
