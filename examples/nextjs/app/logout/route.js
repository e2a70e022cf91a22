import { cookies } from 'next/headers';
import { NextResponse } from 'next/server';
import { home, scalekit } from '../../lib/auth.js';

export async function POST() {
  const cookieStore = await cookies();
  const idTokenHint = cookieStore.get('id_token')?.value;
  cookieStore.delete('id_token');
  return NextResponse.redirect(scalekit().getLogoutUrl({ idTokenHint, postLogoutRedirectUri: home }), 303);
}
