// An OpenAPI document with examples, as Markdown.

export const CONTROL = '/_emulator/v1';

/** Fields whose values are another in every run, or too long to read. */
const REPLACED = {
  real_now: '2026-11-27T12:00:00.000Z',
  created_at: '2030-01-01T00:00:00.000Z',
  iat: 1893456000,
  nbf: 1893456000,
  exp: 1893456300,
  expires_in: 300,
  latency_ms: 2,
  duration_ms: 2.5,
  request_id: '…',
  kid: '…',
  private_key: '…',
  server_secret: '…',
};
const MAX_TEXT = 160;

/** Parameters that many calls have, and that the document does not explain. */
const COMMON = {
  page_size: 'How many entries a page has.',
  page_token: '`next_page_token` of the page before.',
};

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const oneLine = (text = '') => text.split(/\s+/).join(' ').trim();
const cell = (text) => oneLine(text).replaceAll('|', '\\|');

/** Every call as a section, by tag. `examples` is a map from `METHOD /path` to what was sent and received. */
export function referenceMarkdown(api, examples, serverUrl) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) => METHODS.filter((method) => methods[method]).map((method) => ({
    name: `${method.toUpperCase()} ${path.slice(CONTROL.length)}`,
    operation: methods[method],
  })));
  const unknown = [...new Set(operations.flatMap(({ operation }) => operation.tags))].filter((tag) => !api.tags.some(({ name }) => name === tag));
  if (unknown.length) throw new Error(`tags without a title: ${unknown}`);
  const sections = api.tags.map(({ name: tag, 'x-displayName': title }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `## ${title}\n\n${own.map((one) => section(api, one, examples.get(one.name), serverUrl)).join('\n')}`;
  });
  return `\n${sections.join('\n')}\n`;
}

function section(api, { name, operation }, example, serverUrl) {
  if (!example) throw new Error(`${name} has no example`);
  const parts = [`### \`${name}\``, oneLine(operation.summary)];
  if (operation.description) parts.push(oneLine(operation.description));
  const query = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  if (query.length) parts.push(table('query', query.map((one) => [one.name, typeOf(api, one.schema), one.required, one.description ?? COMMON[one.name]])));
  const body = operation.requestBody;
  if (body) parts.push(bodyText(api, body));
  parts.push(['```sh', curl(name, example, serverUrl), '```'].join('\n'), result(example, serverUrl));
  return `${parts.join('\n\n')}\n`;
}

function bodyText(api, body) {
  const schema = resolve(api, body.content['application/json'].schema);
  const fields = Object.entries(schema.properties ?? {});
  if (!fields.length) {
    const what = oneLine(body.description ?? schema.description).replace(/\.$/, '').replace(/^Fields/, 'the fields').replace(/^Any/, 'any');
    return `The body has ${what}, named as in [Configuration](CONFIGURATION.md).`;
  }
  const required = schema.required ?? [];
  return table('body', fields.map(([field, about]) => [field, typeOf(api, about), required.includes(field), about.description ?? describe(api, about)]));
}

function table(what, rows) {
  const lines = rows.map(([name, type, isRequired, about]) => `| \`${name}\` | ${type}${isRequired ? ', required' : ''} | ${cell(about)} |`);
  return [`| ${what} | type | meaning |`, '|---|---|---|', ...lines].join('\n');
}

/** What the server's own document carries, as JSON: an example of every call, by `METHOD /path`. */
export function documentExamples(examples, serverUrl) {
  const own = [...examples].map(([name, { path, query, body, status, result: found, as }]) => [name, {
    ...(Object.keys(path).length && { path }),
    ...(Object.keys(query).length && { query }),
    ...(body !== undefined && { body }),
    status,
    ...(found !== undefined && as === 'json' && { result: shorten(found, '', true) }),
  }]);
  own.sort(([one], [other]) => (one < other ? -1 : 1));
  return `${settle(JSON.stringify(Object.fromEntries(own), null, 2), serverUrl)}\n`;
}

/** A schema without references, and of several the one that is not null. */
function resolve(api, schema) {
  if (schema.$ref) return resolve(api, api.components.schemas[schema.$ref.split('/').at(-1)]);
  const others = (schema.oneOf ?? []).filter((one) => one.type !== 'null');
  if (others.length === 1) return resolve(api, others[0]);
  if (schema.allOf) {
    const all = schema.allOf.map((one) => resolve(api, one));
    return { ...schema, properties: Object.assign({}, ...all.map((one) => one.properties ?? {})), required: all.flatMap((one) => one.required ?? []) };
  }
  return schema;
}

function describe(api, schema) {
  const hint = (schema.oneOf ?? []).find((one) => one.description)?.description;
  return hint ?? resolve(api, schema).description;
}

function typeOf(api, schema) {
  const found = resolve(api, schema);
  if (found.enum) return found.enum.map((value) => `\`${value}\``).join(', ');
  if (found.oneOf) return `object; \`kind\` is ${found.oneOf.map((one) => `\`${one.properties.kind.enum[0]}\``).join(', ')}`;
  const type = [found.type ?? 'object'].flat().filter((one) => one !== 'null').join(' or ');
  if (type !== 'array') return type;
  const of = typeOf(api, found.items);
  return `list of ${/^\w+$/.test(of) ? `${of}s` : of}`;
}

function curl(name, example, serverUrl) {
  const [method] = name.split(' ');
  const url = `'${settle(`${serverUrl}${example.url}`, serverUrl)}'`;
  const verb = method === 'GET' ? '' : `-X ${method} `;
  if (name === 'PUT /snapshot') return `curl -X PUT ${url} \\\n  -H 'content-type: application/json' -d @snapshot.json`;
  if (example.body === undefined) return `curl ${verb}${url}`;
  return `curl ${verb}${url} \\\n  -H 'content-type: application/json' \\\n  -d '${settle(JSON.stringify(example.body), serverUrl)}'`;
}

function result({ status, result: body, as }, serverUrl) {
  if (as === 'stream') return `The response, ${status}, is a stream of server-sent events.`;
  if (body === undefined) return `The response is ${status}, without a body.`;
  if (as === 'text') return `The response, ${status}, is the text of the email.`;
  const json = JSON.stringify(shorten(body), null, 2);
  return `The response, ${status}:\n\n\`\`\`json\n${settle(json, serverUrl)}\n\`\`\``;
}

/** One entry of each list, no long texts, and nothing that differs between runs. `isValid`: by the document's schemas. */
function shorten(value, name, isValid = false) {
  if (name in REPLACED && value !== null) return REPLACED[name];
  if (!isValid && name === 'settings' && value?.passwordless) return { passwordless: value.passwordless };
  if (name === 'ahead_s' && value > 0) return 97675200;
  if (Array.isArray(value)) return value.slice(0, name === 'steps' || name === 'checks' ? 3 : 1).map((one) => shorten(one, '', isValid));
  if (typeof value === 'string' && value.length > MAX_TEXT) return `${value.slice(0, 40)}…`;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shorten(one, key, isValid)]));
}

/** With the default URL, and without what is random in spite of `deterministic_seed`. */
function settle(text, serverUrl) {
  const { port } = new URL(serverUrl);
  return text
    .replaceAll(`:${port}`, ':6870')
    .replaceAll(`%3A${port}`, '%3A6870')
    .replace(/20(?!30)\d\d-\d\d-\d\dT[\d:.]+Z/g, REPLACED.real_now)
    .replace(/env_2\d{18}/g, 'env_1000000000000000001')
    .replace(/(icpc?)_\d{19}/g, '$1_1000000000000000001')
    .replace(/req_\d{19}/g, 'req_1000000000000000001')
    .replace(/flt_\d{19}/g, 'flt_1000000000000000001')
    .replace(/skc_(?!687)\d{18}/g, 'skc_100000000000000001')
    .replace(/test_[\w-]{43}(?![\w-])/g, 'test_…')
    .replace(/whsec_[\w+/=]+/g, 'whsec_…')
    .replace(/http:\/\/127\.0\.0\.1:(?!6870)\d+/g, 'http://127.0.0.1:3000')
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'eyJhbGciOiJSUzI1NiIs…')
    .replace(/eyJ[\w-]+…/g, 'eyJhbGciOiJSUzI1NiIs…');
}
