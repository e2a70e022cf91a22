//! The frame around every page of the dashboard: the sidebar, the other environments, and a strip that says what is
//! unusual in this one, each with a button that undoes it.

use actix_web::{HttpMessage as _, HttpRequest};

use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, one, redirect_with_flash, try_it,
};
use crate::domain::clock::rfc3339;
use crate::domain::environment::Environment;
use crate::http::render;
use crate::http::views::{EnvironmentLink, Layout, Navigation, NavigationGroup, StatusEntry};
use crate::runtime::{Access, Context};
use crate::service::changes::ControlError;
use crate::service::{clock, faults, inbox, webhooks};

/// The sidebar: groups of entries, each a path and a name.
pub const NAVIGATION: &[NavigationGroup] = &[
    NavigationGroup {
        name: "Try",
        entries: &[
            ("/dashboard", "Home"),
            (try_it::PATH, "Try it"),
            ("/_emulator/inbox", "Inbox"),
            ("/dashboard/flows", "Sign-ins"),
            ("/dashboard/requests", "Requests"),
        ],
    },
    NavigationGroup {
        name: "Manage",
        entries: &[
            ("/dashboard/users", "Users"),
            ("/dashboard/organizations", "Organizations"),
            ("/dashboard/roles", "Roles"),
            ("/dashboard/permissions", "Permissions"),
            ("/dashboard/sessions", "Sessions"),
            ("/dashboard/applications", "Applications"),
        ],
    },
    NavigationGroup {
        name: "Events",
        entries: &[("/dashboard/webhooks", "Webhooks"), ("/dashboard/interceptors", "Interceptors")],
    },
    NavigationGroup {
        name: "Test tools",
        entries: &[
            ("/dashboard/clock", "Clock"),
            ("/dashboard/faults", "Faults"),
            ("/dashboard/tokens", "Tokens"),
            ("/dashboard/token-template", "Token template"),
            ("/dashboard/state", "State"),
            ("/dashboard/environments", "Environments"),
        ],
    },
    NavigationGroup {
        name: "Settings",
        entries: &[
            ("/dashboard/methods", "Sign-in method"),
            ("/dashboard/settings", "Settings"),
            ("/dashboard/api", "API reference"),
        ],
    },
];

/// Environments that the sidebar names; all are on a page of their own.
const MAX_ENVIRONMENTS: usize = 8;

/// What the frame of a page says of the server. It is read once the request may see it.
#[derive(Clone, Default)]
struct Facts {
    environments: Vec<EnvironmentLink>,
    status: Vec<StatusEntry>,
}

/// Reads what the frame says, for a request that may use the dashboard.
pub async fn load(request: &HttpRequest, context: &Context) {
    let facts = Facts { environments: environments(context), status: status(context).await };
    request.extensions_mut().insert(facts);
}

/// The frame around a page, whose entry of the navigation is `current`.
pub fn layout(context: &Context, request: &HttpRequest, title: &str, current: &'static str) -> Layout {
    let saved = context.runtime.server.saved_configuration();
    let needs_restart = Some(saved.needs_restart.join(", ")).filter(|keys| !keys.is_empty());
    let facts = request.extensions().get::<Facts>().cloned().unwrap_or_default();
    Layout {
        navigation: Some(Navigation {
            current,
            environment: name_of(&context.environment),
            groups: NAVIGATION,
            environments: facts.environments,
            status: facts.status,
            may_sign_out: matches!(context.runtime.server.control, Access::Token(_)),
            now: rfc3339(context.now_ms()),
            problems: saved.problems,
            needs_restart,
        }),
        ..render::layout(context, title)
    }
}

fn name_of(environment: &Environment) -> Option<String> {
    environment.name.as_ref().map(|name| name.as_str().to_owned())
}

/// The environments at work in this process, the default one first.
fn environments(context: &Context) -> Vec<EnvironmentLink> {
    let runtimes = context.registry.runtimes();
    let mut links: Vec<EnvironmentLink> = runtimes
        .iter()
        .map(|runtime| {
            let environment = &runtime.live().environment;
            let urls = environment.urls_seen_from(&context.public_url);
            let by_path = urls.iter().find(|url| environment.name.is_some() && !url.path().is_empty());
            let url = by_path.or(urls.first()).map_or("", |url| url.issuer());
            EnvironmentLink {
                is_current: environment.id == context.environment.id,
                name: name_of(environment),
                href: format!("{url}/dashboard"),
            }
        })
        .collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links.truncate(MAX_ENVIRONMENTS);
    links
}

/// What is unusual in this environment.
async fn status(context: &Context) -> Vec<StatusEntry> {
    let mut entries = vec![];
    let time = clock::show(context);
    let moved = time.ahead_s != 0;
    if moved || time.frozen {
        let text = match (time.frozen, moved) {
            (true, false) => "Clock frozen".to_owned(),
            (true, true) => format!("Clock frozen, {}", distance(time.ahead_s)),
            (false, _) => format!("Clock {}", distance(time.ahead_s)),
        };
        entries.push(entry(context, "clock", text, "/dashboard/clock", "Use real time"));
    }
    let faults = context.live.faults.len();
    if faults > 0 {
        let text = counted(faults, "fault active", "faults active");
        entries.push(entry(context, "faults", text, "/dashboard/faults", "Delete all faults"));
    }
    // A page is shown without these entries rather than not at all.
    let failed = webhooks::failed_deliveries(context).await.unwrap_or_default();
    if failed > 0 {
        let text = counted(failed, "webhook delivery failed", "webhook deliveries failed");
        entries.push(StatusEntry {
            is_wrong: true,
            ..entry(context, "webhooks", text, "/dashboard/webhooks", "Send again")
        });
    }
    let unread =
        inbox::count(context).await.map_or(0, |count| usize::try_from(count.unread).unwrap_or_default());
    if unread > 0 {
        let text = counted(unread, "unread email", "unread emails");
        entries.push(entry(context, "emails", text, "/_emulator/inbox", "Mark as read"));
    }
    entries
}

fn entry(
    context: &Context,
    what: &'static str,
    text: String,
    path: &str,
    button: &'static str,
) -> StatusEntry {
    StatusEntry { what, text, href: context.path(path), button, is_wrong: false }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How far the clock is from the machine's, in the largest unit that fits: `5 min ahead`.
fn distance(ahead_s: i64) -> String {
    let seconds = ahead_s.unsigned_abs();
    let (amount, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{amount} {unit} {}", if ahead_s < 0 { "behind" } else { "ahead" })
}

/// `POST /dashboard/usual`: undoes what an entry of the strip says, and goes back to the page it was on.
pub async fn make_usual(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let done = match one(&params, "what") {
        "clock" => clock::reset(&context).await.map(|_| "real_time"),
        "faults" => faults::delete(&context, None).await.map(|_| "faults_deleted"),
        "webhooks" => webhooks::replay_failed(&context).await.map(|()| "queued"),
        "emails" => inbox::mark_all_read(&context).await.map(|()| "read").map_err(ControlError::from),
        _ => Ok("nothing"),
    };
    let done = done.map_err(|refused| error_page(&request, refused))?;
    Ok(redirect_with_flash(&context, known(one(&params, "at")), done))
}

/// The entry of the navigation that a form names; home, where it names none.
fn known(path: &str) -> &'static str {
    let entries = NAVIGATION.iter().flat_map(|group| group.entries);
    entries.map(|(known, _)| *known).find(|known| *known == path).unwrap_or("/dashboard")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_said_in_the_largest_unit_that_fits() {
        let said = [0, 59, 60, 3_599, 3_600, 86_400, -300].map(distance);
        assert_eq!(
            said,
            [
                "0 s ahead",
                "59 s ahead",
                "1 min ahead",
                "59 min ahead",
                "1 h ahead",
                "1 d ahead",
                "5 min behind"
            ]
        );
    }

    #[test]
    fn a_reset_leads_back_to_pages_of_the_navigation_only() {
        assert_eq!(known("/dashboard/users"), "/dashboard/users");
        assert_eq!(known("//example.com"), "/dashboard");
    }
}
