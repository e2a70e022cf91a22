import { UserManager } from 'oidc-client-ts';
import { createRoot } from 'react-dom/client';

// Scalekit, or Vestibule in its place: only these variables decide. A public client: PKCE instead of a secret.
const manager = new UserManager({
  authority: import.meta.env.SCALEKIT_ENVIRONMENT_URL,
  client_id: import.meta.env.SCALEKIT_SPA_CLIENT_ID,
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: `${location.origin}/`,
  scope: 'openid profile email',
});

/** Whoever is signed in. At the callback, the sign-in is finished first: once, so outside of React's effects. */
async function currentUser() {
  if (location.pathname !== '/callback') return manager.getUser();
  const user = await manager.signinCallback();
  history.replaceState(null, '', '/');
  return user;
}

function App({ user, problem }) {
  if (!user) {
    return (
      <>
        {problem && <p role="alert">{problem}</p>}
        <button onClick={() => manager.signinRedirect()}>Sign in</button>
      </>
    );
  }
  return (
    <>
      <p>{`Signed in as ${user.profile.email}`}</p>
      <button onClick={() => manager.signoutRedirect()}>Sign out</button>
    </>
  );
}

const root = createRoot(document.getElementById('root'));
currentUser().then(
  (user) => root.render(<App user={user} />),
  (error) => root.render(<App problem={error.message} />),
);
