/**
 * Helpers for tests against Vestibule: start a server or attach to one, make an isolated environment for each test,
 * wait for a code or a link, move the clock, reset.
 *
 * Everything that goes to the server or comes from it has the server's own names, such as `instant_sign_in`.
 * Every call may throw a {@link VestibuleError}.
 */

/** One mistake in what was sent. */
export interface FieldError {
  /** Dotted name, such as `passwordless.validity_s`; empty for the input as a whole. */
  field: string;
  reason: string;
}

/** The server refused, did not answer, or did not start or stop as it should. */
export class VestibuleError extends Error {
  constructor(problem: {
    status?: number;
    code?: string | null;
    title: string;
    detail: string;
    errors?: FieldError[];
    timeline?: string[];
    cause?: unknown;
  });
  /** The HTTP status; 0 where no answer of the server is behind it. */
  readonly status: number;
  /** The server's name for the mistake, for programs, such as `not_found`; `null` where it gave none. */
  readonly code: string | null;
  /** What kind of mistake it is, in a few words. */
  readonly title: string;
  /** What is wrong here. */
  readonly detail: string;
  /** What is wrong with which field; often empty. */
  readonly errors: FieldError[];
  /** What happened in the sign-in that was waited for, a line for each step; often empty. */
  readonly timeline: string[];
}

/** How to start a server. */
export interface StartOptions {
  /**
   * Path or name of the server's program. Default: `VESTIBULE_BIN`, or else the program of `@vestibule-idp/server`,
   * or else `vestibule` from `PATH`.
   */
  binary?: string;
  /** More arguments, such as `['--config', 'vestibule.toml']`. */
  args?: string[];
  /**
   * More environment variables. Those of this process are inherited, except `VESTIBULE_*` and `DATABASE_URL`, which
   * would configure the server.
   */
  env?: Record<string, string>;
  /** Milliseconds that the start may take; 30000 when left out. */
  timeoutMs?: number;
}

/** What a new environment is to be. Everything may be left out. */
export interface EnvironmentOptions {
  /** Part of its URL; made up when left out. */
  name?: string;
  /** Over the configured settings, in the words of the configuration, `clients` included. */
  settings?: SettingsChange;
  /** `users` and `organizations`, in the words of the configuration. */
  seed?: Seed;
  /** Where its clock begins. */
  clock?: ClockInput;
  /** Callbacks of the client that is made. Loopback `http` URLs need none. */
  redirect_uris?: string[];
  /** May {@link Environment.signIn} sign users in at once for that client? Default: true. */
  instant_sign_in?: boolean;
}

/** What to do to a clock: set, then advance, then freeze or resume. */
export interface ClockInput {
  /** RFC 3339. */
  now?: string;
  /** Whole seconds to move on; back, when negative. */
  advance_s?: number;
  frozen?: boolean;
  /** Date tokens by this clock even where it is ahead of real time. Most clients refuse such tokens. */
  date_tokens_ahead?: boolean;
}

/** A clock as it stands. */
export interface ClockState {
  /** The environment's time, RFC 3339. */
  now: string;
  /** The machine's time, RFC 3339. */
  real_now: string;
  frozen: boolean;
  /** Whole seconds that the environment's time is ahead of the machine's; negative when behind. */
  ahead_s: number;
  date_tokens_ahead: boolean;
}

/** An email. */
export interface Message {
  /** `msg_…`; what `since` takes. */
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
  /** The code, where the email carries one. */
  code: string | null;
  /** The link, where the email carries one. */
  link: string | null;
  auth_request_id: string;
  /** `signin` or `signup`. */
  kind: string;
  /** Did the address sign in with the fixed code of test users? */
  test_user: boolean;
  /** RFC 3339, by the environment's clock. */
  created_at: string;
}

/** Which email to wait for, and how long. */
export interface WaitOptions {
  /** Milliseconds to wait at most; 10000 when left out. */
  timeoutMs?: number;
  /**
   * Id of an email, or an inbox's `cursor`: only a newer one counts. Without it codes and links are never of a sign-in
   * that is over; an earlier one that was not finished counts, which {@link Environment.inbox} cannot give.
   */
  since?: string;
}

/** Something that happened, as webhooks tell it. */
export interface Event {
  /** `evt_…`; what `since` takes, and the `webhook-id` of its webhooks. */
  id: string;
  /** Such as `organization.created`. */
  type: string;
  object: string;
  environment_id: string;
  organization_id?: string;
  /** RFC 3339, by the environment's clock. */
  occurred_at: string;
  display_name: string;
  data: Record<string, any>;
}

/** Which event to wait for, and how long. */
export interface EventWaitOptions {
  /** Milliseconds to wait at most; 10000 when left out. */
  timeoutMs?: number;
  /** Id of an event, or what {@link Environment.eventCursor} gave: only a newer one counts. */
  since?: string;
}

/** A request that an application or a browser made to the environment. Nothing secret is in it. */
export interface RecordedRequest {
  /** `req_…`; what `since` takes. */
  id: string;
  /** Its `x-request-id`. */
  request_id: string;
  /** RFC 3339, by the environment's clock. */
  at: string;
  kind: 'oauth' | 'rest' | 'grpc' | 'page' | 'other';
  method: string;
  /** The path below the environment's URL, or `/service/method` of a gRPC call. */
  path: string;
  /** The template of the path, such as `/api/v1/users/{id}`. */
  route: string | null;
  client_id: string | null;
  /** Parameters of query and form. Values that could be secret are `[redacted]`. */
  parameters: Record<string, string>;
  /** How many parameters there were beyond those that are known by name. */
  other_parameters: number;
  /** HTTP status; `null` where the connection ended without a response. */
  status: number | null;
  /** Name of the gRPC status, of a gRPC call. */
  grpc_status: string | null;
  duration_ms: number;
  /** The code of the error that the caller was told, such as `invalid_grant`. */
  error: string | null;
  /** Id of the fault rule that was applied. */
  fault: string | null;
  /** What it asked for that is not emulated. */
  not_emulated: string | null;
}

/** Which requests. */
export interface RequestFilter {
  /** Path or route; `*` stands for any characters. */
  path?: string;
  client_id?: string;
  /** Id of a request, or a `cursor`: only newer ones count. */
  since?: string;
}

/** Requests, and where the journal stands. */
export interface RequestList {
  /** Newest first, at most 50. */
  requests: RecordedRequest[];
  /** For `since`: what is asked from now on. */
  cursor: string;
  /** What applications asked for that is not emulated. */
  not_emulated: { client_id: string | null; name: string; times: number; last_at: string }[];
}

/** Where a browser would be after an instant sign-in. */
export interface SignedIn {
  /** The application's callback with `code` and `state`, or with an `error`. */
  callback_url: string;
  code: string | null;
  state: string | null;
  error: string | null;
  /** The environment's session cookie, for those who want to go on as this browser. */
  session_cookie: string | null;
}

/** What {@link Environment.signIn} needs of a page: Playwright's `Page` has it. */
export interface SignInPage {
  url(): string;
  goto(url: string): Promise<unknown>;
  locator(selector: string): unknown;
}

/** Records in the words of the configuration. */
export interface Seed {
  users?: Record<string, unknown>[];
  organizations?: Record<string, unknown>[];
}

/** How many records a seed wrote. */
export interface Seeded {
  users: number;
  organizations: number;
}

/** Settings in the words of the configuration, such as `{ passwordless: { type: 'OTP' } }`. */
export type SettingsChange = Record<string, unknown>;

/** What goes wrong. */
export type FaultEffect =
  | { kind: 'status'; status: number; body?: Record<string, unknown> }
  | { kind: 'oauth_error'; error: string; error_description?: string; status?: number }
  | { kind: 'grpc_status'; code: string; message?: string }
  | { kind: 'connection_reset' }
  | { kind: 'truncated_body'; bytes: number }
  | { kind: 'smtp'; permanent?: boolean }
  | { kind: 'token'; fault: 'wrong_issuer' | 'bad_signature' | 'expired' | 'unknown_kid' }
  | { kind: 'sign_in'; outcome: 'expired' | 'limited' | 'denied' };

/** Requests that match are counted, and some of them go wrong. */
export interface FaultRule {
  /** Which requests; all of them when left out. `*` stands for any characters. */
  match?: { method?: string; path?: string; grpc?: string; to?: string };
  /** The first matching request that goes wrong, counted from 1. */
  nth?: number;
  /** How many go wrong before the rule rests. */
  count?: number;
  /** The share of matching requests that go wrong, from 0 to 1. */
  probability?: number;
  /** Milliseconds to wait first. */
  latency_ms?: number;
  /** What happens then; only the waiting when left out. */
  effect?: FaultEffect;
}

/** A rule with its counts. */
export interface Fault extends FaultRule {
  id: string;
  /** Requests that matched so far. */
  matched: number;
  /** Requests that went wrong so far. */
  fired: number;
  /** RFC 3339. */
  created_at: string;
}

/** A sign-in in the log. */
export interface Flow {
  id: string;
  email: string | null;
  client_id: string | null;
  user_id: string | null;
  status: 'INITIATED' | 'PENDING' | 'SUCCESS' | 'FAILED';
  /** The last thing that was decided. */
  why: string;
  /** RFC 3339, by the environment's clock. */
  started_at: string;
  /** RFC 3339, by the environment's clock. */
  changed_at: string;
}

/** The time of an environment. Codes, links, sessions, tokens and limits obey it. */
export interface Clock {
  /** How it stands. */
  get(): Promise<ClockState>;
  /** Moves it on by whole seconds; back, when negative. Refused with 400 beyond ten years. */
  advance(seconds: number): Promise<ClockState>;
  /** Makes it this time now: a `Date`, or a text as RFC 3339 has it. */
  set(date: Date | string): Promise<ClockState>;
  /** Lets it stand still. */
  freeze(): Promise<ClockState>;
  /** Lets it run on from where it stood. */
  resume(): Promise<ClockState>;
  /** Back to real time. */
  reset(): Promise<ClockState>;
}

/** What goes wrong on purpose in an environment. */
export interface Faults {
  /** Adds a rule. Refused with 400 when a field is wrong. */
  add(rule: FaultRule): Promise<Fault>;
  /** The rules with their counts. */
  list(): Promise<Fault[]>;
  /** Deletes all rules. */
  clear(): Promise<void>;
}

/** The settings of an environment. */
export interface Settings {
  /** As they hold now. */
  get(): Promise<Record<string, any>>;
  /**
   * Changes those that are named; `null` goes back to the configured one. Gives all of them as they hold then.
   * Refused with 400, and nothing is changed, when a field is wrong.
   */
  change(changes: SettingsChange): Promise<Record<string, any>>;
}

/**
 * The emails to an address from a moment on. Open it before the sign-in, or before a resend: then no email of an
 * earlier one can be taken for its, however late it is sent.
 */
export class Inbox {
  protected constructor();
  readonly address: string;
  /** What was there before; it moves on with every email that is read. */
  readonly cursor: string;
  /**
   * The newest email since the inbox was opened or last read, as soon as there is one. Throws with status 404 when
   * none came in time.
   */
  nextMessage(options?: { timeoutMs?: number }): Promise<Message>;
  /** The code of the next email, as {@link nextMessage}. Throws with status 0 when the email carries none. */
  nextCode(options?: { timeoutMs?: number }): Promise<string>;
  /** The link of the next email, as {@link nextMessage}. Throws with status 0 when the email carries none. */
  nextLink(options?: { timeoutMs?: number }): Promise<string>;
}

/** An environment: put `url`, `clientId` and `clientSecret` where Scalekit's were. */
export class Environment {
  protected constructor();
  /** Its URL, without a slash at the end. */
  readonly url: string;
  readonly clientId: string;
  /** `null` where the server has it as a hash only. */
  readonly clientSecret: string | null;
  /** `null`: the default one. */
  readonly name: string | null;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly settings: Settings;

  /** The variables by which an application finds this environment, such as for Playwright's `webServer.env`. */
  env(): Record<string, string>;
  /** Opens the inbox of an address, to read what arrives from now on. */
  inbox(address: string): Promise<Inbox>;
  /**
   * The newest email to an address, as soon as there is one. One that is there already counts, unless `since` says
   * otherwise: for a second sign-in of the address use {@link inbox}. Throws with status 404 when none came in time.
   */
  waitForMessage(address: string, options?: WaitOptions): Promise<Message>;
  /** The code of the newest email of a sign-in that is not over, as {@link waitForMessage}. Throws with status 0 when the email carries none. */
  waitForCode(address: string, options?: WaitOptions): Promise<string>;
  /** The link of the newest email of a sign-in that is not over, as {@link waitForMessage}. Throws with status 0 when the email carries none. */
  waitForLink(address: string, options?: WaitOptions): Promise<string>;
  /** Where the events stand now: take it before a change, and `since` it only what that change causes counts. */
  eventCursor(): Promise<string>;
  /**
   * The newest event of a type, as soon as there is one, whether or not there is a webhook. One that happened already
   * counts, unless `since` says otherwise. Throws with status 404 when none happened in time.
   */
  waitForEvent(type: string, options?: EventWaitOptions): Promise<Event>;
  /** The newest requests to the environment, without their secrets. */
  requests(filter?: RequestFilter): Promise<RequestList>;
  /**
   * The newest request to a path, as soon as there is one: `expectRequest('/oauth/token')`. `*` stands for any
   * characters. One that was made already counts, unless `since` says otherwise. Throws with status 404, and with the
   * last requests, when none came in time: after `timeoutMs` milliseconds, 10000 when left out.
   */
  expectRequest(path: string, options?: Omit<RequestFilter, 'path'> & { timeoutMs?: number }): Promise<RecordedRequest>;
  /**
   * Signs in on the sign-in page that a Playwright page shows or is on its way to, and returns when the application has
   * taken over: at once where the client allows instant sign-in, else by the code or the link of the email. `organization`
   * is the one to enter where the user has to choose, by a part of its name. Throws with status 0, with what the page shows
   * and with the sign-in's timeline, when it takes longer than `timeoutMs` milliseconds, 30000 when left out.
   */
  signIn(page: SignInPage, email: string, options?: { organization?: string; timeoutMs?: number }): Promise<void>;
  /**
   * Goes the whole way of an authorization URL for an address, without email or page. Refused with 403 when the client does
   * not allow it: environments with `instant_sign_in: false`, and servers whose configuration does not say so.
   */
  signIn(email: string, authorizationUrl: string | URL): Promise<SignedIn>;
  /** Users as seeded, nobody signed in, no email, no log; settings, clock and faults as at the start unless kept. */
  reset(options?: { keep?: ('settings' | 'clock' | 'faults')[] }): Promise<void>;
  /** Adds users and organizations. Resets go back to them too. Refused with 400 or 409. */
  seed(records: Seed): Promise<Seeded>;
  /** Sign-ins, newest first: of an address or a part of one, or all. */
  flows(email?: string): Promise<Flow[]>;
  /**
   * Any call of the control API, such as `call('POST', '/tokens', { user })`, or of Scalekit's API, such as
   * `call('GET', '/api/users')`; its answer, `null` for none. The path is below `/_emulator/v1`.
   */
  call(method: string, path: string, body?: unknown): Promise<any>;
  /** Deletes the environment with everything in it. Throws with status 404 when it is gone; the default one stays. */
  delete(): Promise<void>;
  /** Deletes it, unless it is gone. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A server. It is its default environment, too. */
export class Server extends Environment {
  protected constructor();
  /**
   * Makes an isolated environment with credentials, users, clock, inbox and faults of its own. Refused with 400 when
   * a field is wrong, and with 409 when the name is taken.
   */
  newEnvironment(options?: EnvironmentOptions): Promise<Environment>;
  /**
   * Stops a server that was started here, and waits for its end; one that was attached to goes on. May be called
   * again. Throws when the server ended with anything but 0.
   */
  stop(): Promise<void>;
  /** Stops it. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a server on a free port that keeps nothing. It ends with this process when it is not stopped before. The
 * server reads a `vestibule.toml` in the working folder, if there is one.
 *
 * Throws with status 0, and with what the server said, when it does not start.
 */
export function startServer(options?: StartOptions): Promise<Server>;

/**
 * Attaches to a server that runs, by its URL. `token` is its control token, where it demands one.
 *
 * Throws with status 0 when nothing answers there, and with status 401 when the token is wrong.
 */
export function attach(url: string | URL, options?: { token?: string }): Promise<Server>;
