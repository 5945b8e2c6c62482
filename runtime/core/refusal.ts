/** What is wrong with what was asked for: which field, and why. Said to whoever asked; nothing was done. */
export class Refusal extends Error {
  override name = "Refusal";
  constructor(readonly field: string, message: string) {
    super(message);
  }
}
