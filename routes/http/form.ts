/** Reads a form, whose fields are all texts, into what a schema means by them. */
import type { Context } from "hono";
import * as z from "zod";

export type Form = Readonly<Record<string, unknown>>;

/** A body that is no form is a form without fields. */
export async function readForm(c: Context): Promise<Form> {
  return await c.req.parseBody().catch(() => ({}));
}

/** The form's values in the types of the schema's fields; what does not fit stays, to be refused by it. */
export function typed(schema: z.ZodObject, form: Form): Form {
  return Object.fromEntries(
    Object.entries(form).map(([name, value]) => {
      const field = schema.shape[name];
      return [name, field && typeof value === "string" ? typedValue(field, value) : value];
    }),
  );
}

function typedValue(field: z.core.$ZodType, text: string): unknown {
  if (field instanceof z.ZodOptional || field instanceof z.ZodDefault) {
    return typedValue(field.unwrap(), text);
  }
  if (field instanceof z.ZodNumber && text.trim() !== "") return Number(text);
  if (field instanceof z.ZodBoolean && (text === "true" || text === "false")) {
    return text === "true";
  }
  return text;
}
