// Stdin: [{mail, html}]; stdout: the findings of html-validate, caniemail and doiuse-email.
import { HtmlValidate, StaticConfigLoader } from 'html-validate';
import { caniemail } from 'caniemail';
import { doIUseEmail } from '@jsx-email/doiuse-email';
import { stdin } from './browser.mjs';

const CLIENTS = ['gmail.*', 'outlook.*', 'apple-mail.*', 'yahoo.*'];

const validator = new HtmlValidate(
  new StaticConfigLoader({
    root: true,
    extends: ['html-validate:recommended'],
    elements: ['html5', { html: { attributes: { lang: { required: true }, dir: { required: true } } } }],
    rules: {
      // What a web page should not have and a mail needs, since clients drop or ignore the newer way.
      'no-inline-style': 'off',
      'no-deprecated-attr': 'off',
      'no-conditional-comment': 'off',
      // The title is the subject, and how long that may be is judged there.
      'long-title': 'off',
      'prefer-native-element': ['error', { exclude: ['main'] }],
    },
  }),
);

async function validate(html) {
  const report = await validator.validateString(html);
  return report.results.flatMap((result) =>
    result.messages.map((each) => [each.ruleId, `${each.message} (${each.line}:${each.column})`]),
  );
}

// Both look up the same table; the one finds what the other overlooks. Only what a client does not know at all is
// a finding: what it knows in part is most of css.
function* unsupported(pairs) {
  const clients = {};
  for (const [feature, client] of pairs) (clients[feature] ??= new Set()).add(client);
  for (const [feature, names] of Object.entries(clients)) yield [feature, `not known to ${[...names].join(', ')}`];
}

function canI(html) {
  const { errors } = caniemail({ clients: CLIENTS, html }).issues;
  return unsupported([...errors].flatMap(([client, issues]) => issues.map((issue) => [issue.title, client])));
}

function doIUse(html) {
  const errors = doIUseEmail(html, { emailClients: CLIENTS }).errors ?? [];
  return unsupported(errors.map((error) => error.match(/^`(.*)` is not supported by `(.*)`$/).slice(1)));
}

const findings = [];
for (const { mail, html } of await stdin()) {
  const checkers = { 'html-validate': await validate(html), caniemail: canI(html), doiuse: doIUse(html) };
  for (const [checker, found] of Object.entries(checkers))
    for (const [rule, what] of found) findings.push({ mail, checker, rule, what });
}
process.stdout.write(JSON.stringify(findings));
