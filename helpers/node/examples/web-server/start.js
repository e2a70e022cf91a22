import { startApp } from '../app.js';

const { PORT, SCALEKIT_ENVIRONMENT_URL, SCALEKIT_CLIENT_ID, SCALEKIT_CLIENT_SECRET } = process.env;
const provider = { url: SCALEKIT_ENVIRONMENT_URL, clientId: SCALEKIT_CLIENT_ID, clientSecret: SCALEKIT_CLIENT_SECRET };
await startApp(provider, Number(PORT));
