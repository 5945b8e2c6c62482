/** Takes secrets out of texts that are made to be handed on: recordings of model calls. */

const HIDDEN = "[secret]";

/**
 * What secrets look like: keys of well-known services, bearer tokens, private keys, passwords in
 * addresses, and what stands behind a name that says that it is one. Of the last three only the secret
 * itself goes.
 */
const PATTERNS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----/g,
  /\bsk-[\w-]{16,}/g,
  /\b(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs])[-_][\w-]{16,}/g,
  /\bA(?:KIA|SIA)[A-Z0-9]{16}\b/g,
  /\bAIza[\w-]{30,}/g,
  /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+/g,
  /(?<=\bBearer\s+)[\w.~+/-]{16,}=*/gi,
  /(?<=\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@"']*:)[^\s/@"']+(?=@)/gi,
  /(?<=(?:password|passwd|secret|token|api_?key)\\?["']?\s*[:=]\s*\\?["']?)[^\s"'\\,;}]{8,}/gi,
];

/** @param known secrets that are to be found wherever they stand */
export function scrub(text: string, known: readonly string[]): string {
  const without = known.reduce((all, secret) => all.replaceAll(secret, HIDDEN), text);
  return PATTERNS.reduce((all, pattern) => all.replace(pattern, HIDDEN), without);
}
