import { GenericContainer, Wait } from 'testcontainers';
import { attach } from '@vestibule-idp/testing';

const token = crypto.randomUUID();
const container = await new GenericContainer('ghcr.io/vestibule-idp/vestibule:0.1')
  .withEnvironment({ VESTIBULE_EPHEMERAL: 'true', VESTIBULE_CONTROL__TOKEN: token })
  .withExposedPorts(6870)
  .withWaitStrategy(Wait.forHttp('/ready', 6870))
  .start();
const server = await attach(`http://${container.getHost()}:${container.getMappedPort(6870)}`, { token });
const vestibule = await server.newEnvironment();
