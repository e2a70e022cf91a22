import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';
import { callback, cookieOptions, scalekit } from '../../../lib/auth.js';

export async function GET(request) {
  const { searchParams } = request.nextUrl;
  const cookieStore = await cookies();
  const state = cookieStore.get('state')?.value;
  // Without this check, somebody else's sign-in could be slipped to this browser.
  if (!state || state !== searchParams.get('state')) {
    return new Response('This sign-in did not begin here.', { status: 400 });
  }
  if (!searchParams.has('code')) {
    return new Response(searchParams.get('error_description') ?? 'The sign-in failed.', { status: 400 });
  }
  const { idToken } = await scalekit().authenticateWithCode(searchParams.get('code'), callback);
  cookieStore.delete('state');
  cookieStore.set('id_token', idToken, cookieOptions);
  redirect('/');
}
