// Reads a list of AsyncAPI documents (JSON texts) on standard input, and prints what the official parser finds in each.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const { Parser } = createRequire(join(process.cwd(), "package.json"))("@asyncapi/parser");
const readings = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  const { document, diagnostics } = await new Parser().parse(text);
  readings.push({
    read: document !== undefined,
    found: diagnostics.map(({ code, message, path }) => `${path.join(".")}: ${message} (${code})`),
    operations: document?.operations().all().map((each) => each.id()) ?? [],
  });
}
console.log(JSON.stringify(readings));
