import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // Whole names, not SCALEKIT_: the client secret must never get into what browsers load.
  envPrefix: ['SCALEKIT_ENVIRONMENT_URL', 'SCALEKIT_SPA_CLIENT_ID'],
  server: { port: Number(process.env.PORT ?? 3000), strictPort: true },
});
