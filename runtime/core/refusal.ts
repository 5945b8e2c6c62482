/** What is wrong with what was asked for: which field, and why. Said to whoever asked; nothing was done. */
export class Refusal extends Error {
  override name = "Refusal";
  constructor(readonly field: string, message: string) {
    super(message);
  }
}

/** What a command names does not exist. */
export class NotThere extends Error {
  override name = "NotThere";
  constructor(readonly what: string, readonly id: string) {
    super(`There is no ${what} ${id}`);
  }
}

/** Whoever wants it may not. */
export class NotAllowed extends Error {
  override name = "NotAllowed";
}

/** An idempotency key stands for another command already. */
export class KeyTaken extends Error {
  override name = "KeyTaken";
}
