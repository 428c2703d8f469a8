// npm's smtp-server behind STARTTLS, with XOAUTH2 alone. A line on standard input says which tokens it takes
// ({"tokens": [...]}), and each thing that happens is a line on standard output.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const { SMTPServer } = createRequire(join(process.cwd(), "package.json"))("smtp-server");
const [user, key, cert] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
let tokens = [];

const server = new SMTPServer({
  key: readFileSync(key),
  cert: readFileSync(cert),
  authMethods: ["XOAUTH2"],
  onAuth({ method, username, accessToken }, _, done) {
    const taken = username === user && tokens.includes(accessToken);
    say({ method, username, taken });
    done(null, taken ? { user: username } : { data: { status: "401", schemes: "bearer", scope: "mail" } });
  },
  onData(stream, { user, envelope }, done) {
    stream.resume().on("end", () => {
      say({ mail: envelope.rcptTo.map(({ address }) => address), user });
      done();
    });
  },
});
server.on("error", (problem) => say({ problem: String(problem) }));
createInterface({ input: process.stdin }).on("line", (line) => {
  ({ tokens } = JSON.parse(line));
  say({ tokens: tokens.length });
}).on("close", () => process.exit());
server.listen(0, "127.0.0.1", function () {
  say({ port: this.address().port });
});
