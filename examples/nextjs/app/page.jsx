import { currentUser } from '../lib/auth.js';

export default async function Home() {
  const user = await currentUser();
  if (!user) return <a href="/login">Sign in</a>;
  return (
    <form method="post" action="/logout">
      <p>{`Signed in as ${user.email}`}</p>
      <button>Sign out</button>
    </form>
  );
}
