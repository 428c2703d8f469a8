// Reads an AsyncAPI document on standard input, and prints what the official parser finds in it.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const { Parser } = createRequire(join(process.cwd(), "package.json"))("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(
  JSON.stringify({
    read: document !== undefined,
    found: diagnostics.map(({ code, message, path }) => `${path.join(".")}: ${message} (${code})`),
    operations: document?.operations().all().map((each) => each.id()) ?? [],
  }),
);
