/** `keep_media`: keeps a picture or document that a tool gave, for the conversations that name it. */
import { addMedia } from "../../db/media.ts";
import type { VerbOf } from "../core/command.ts";
import type { Verb } from "./work.ts";

export const keepMedia: Verb<VerbOf<"keep_media">> = ({ clock }, { verb: _, ...media }) =>
  Promise.resolve({
    unit: [addMedia(media, clock.now())],
    concerned: () => ({}),
    answer: {},
  });
