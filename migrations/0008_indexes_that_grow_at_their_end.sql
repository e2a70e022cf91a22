-- An index of random texts is written at another place for every row. Codes and cookies lead to their rows by the key now;
-- those made before this end: people with one of them sign in again.
DROP INDEX grants_by_code;
DROP INDEX sessions_by_cookie;
-- Only those that have what is indexed.
DROP INDEX auth_requests_by_link;
CREATE UNIQUE INDEX auth_requests_by_link ON auth_requests (environment_id, link_digest) WHERE link_digest IS NOT NULL;
DROP INDEX users_by_external_id;
CREATE UNIQUE INDEX users_by_external_id ON users (environment_id, external_id) WHERE external_id IS NOT NULL;
DROP INDEX organizations_by_external_id;
CREATE UNIQUE INDEX organizations_by_external_id ON organizations (environment_id, external_id) WHERE external_id IS NOT NULL;
