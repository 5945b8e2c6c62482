/** The API as a client sees it, in as few words as a test wants to spend on it. */
import assert from "node:assert/strict";
import type { TaskView } from "../../db/task_views.ts";
import type { TreeView } from "../../db/trees.ts";
import { until } from "./until.ts";

export type WholeTree = TreeView & { readonly tasks: readonly TaskView[] };

export interface Problem {
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
}

export function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

export async function getJson<T>(url: string): Promise<T> {
  const response = await fetch(url);
  const text = await response.text();
  assert.equal(response.status, 200, `${url}: ${text}`);
  return JSON.parse(text) as T;
}

/** Begins a tree; gives its id. */
export async function begin(
  url: string,
  request: Record<string, unknown> & { instruction: string },
): Promise<string> {
  const response = await post(`${url}/api/trees`, request);
  const tree = await response.json();
  assert.equal(response.status, 201, JSON.stringify(tree));
  return tree.id;
}

/** Waits for the end of a tree. */
export function ended(url: string, id: string, deadline_ms = 60_000): Promise<WholeTree> {
  return until(`the end of tree ${id}`, async () => {
    const tree = await getJson<WholeTree>(`${url}/api/trees/${id}`);
    return tree.ended_at !== null && tree;
  }, deadline_ms);
}

/** Waits until the tree and everything that follows its tasks has ended. */
export function settled(url: string, id: string, deadline_ms = 60_000): Promise<WholeTree> {
  return until(`the end of all tasks of tree ${id}`, async () => {
    const tree = await getJson<WholeTree>(`${url}/api/trees/${id}`);
    return tree.ended_at !== null && tree.tasks.every(({ ended_at }) => ended_at !== null) && tree;
  }, deadline_ms);
}

/** Begins a tree and waits for its end. */
export async function done(
  url: string,
  request: Record<string, unknown> & { instruction: string },
  deadline_ms?: number,
): Promise<WholeTree> {
  return await ended(url, await begin(url, request), deadline_ms);
}
