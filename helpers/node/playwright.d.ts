import type { TestType } from '@playwright/test';
import type { Environment, EnvironmentOptions, Server, StartOptions } from './index.js';

/** What each test gets. */
export interface VestibuleTestFixtures {
  /** An isolated environment of the test's own, deleted after it. */
  vestibule: Environment;
  /** What that environment is to be; set it by `test.use` or in the configuration. */
  vestibuleOptions: EnvironmentOptions;
}

/** What each worker gets. */
export interface VestibuleWorkerFixtures {
  /** One server for all tests of a worker. */
  vestibuleServer: Server;
  /** How to start it; with `url`, and `token` where one is demanded, a server that runs is used instead. */
  vestibuleServerOptions: StartOptions & { url?: string; token?: string };
}

/** Playwright's `test`, or one extended already, with the fixtures of Vestibule. */
export function vestibuleFixtures<T extends object, W extends object>(
  base: TestType<T, W>,
): TestType<T & VestibuleTestFixtures, W & VestibuleWorkerFixtures>;
