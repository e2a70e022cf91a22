import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';
import { callback, cookieOptions, scalekit } from '../../lib/auth.js';

export async function GET() {
  const state = crypto.randomUUID();
  (await cookies()).set('state', state, cookieOptions);
  redirect(scalekit().getAuthorizationUrl(callback, { state }));
}
