import { ScalekitClient } from '@scalekit-sdk/node';
import { cookies } from 'next/headers';

export const home = process.env.APP_URL ?? `http://localhost:${process.env.PORT ?? 3000}`;
export const callback = `${home}/auth/callback`;
export const cookieOptions = { httpOnly: true, sameSite: 'lax', secure: home.startsWith('https:') };

let client;

/** Scalekit, or Vestibule in its place: only these variables decide. Read at the first request: a build has none. */
export function scalekit() {
  client ??= new ScalekitClient(
    process.env.SCALEKIT_ENVIRONMENT_URL,
    process.env.SCALEKIT_CLIENT_ID,
    process.env.SCALEKIT_CLIENT_SECRET,
  );
  return client;
}

/** The claims of whoever is signed in. The session is the ID token; it is over when that expires. */
export async function currentUser() {
  const idToken = (await cookies()).get('id_token')?.value;
  if (!idToken) return undefined;
  const options = { issuer: process.env.SCALEKIT_ENVIRONMENT_URL, audience: [process.env.SCALEKIT_CLIENT_ID] };
  return scalekit()
    .validateToken(idToken, options)
    .catch(() => undefined);
}
