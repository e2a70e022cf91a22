//! Links to the pages where an organization sets itself up, for one use.

use super::{Store, StoreError, row::row, sql};
use crate::domain::clock::UnixMs;
use crate::domain::organization::Feature;

/// A link to the pages where an organization sets itself up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLink {
    /// A UUID, which is what opens it.
    pub id: String,
    /// Whose it is.
    pub organization_id: String,
    /// What it is for.
    pub features: Vec<Feature>,
    /// When it stops to work.
    pub expires_at_ms: UnixMs,
}

row! {
    struct OpenedRow {
        display_name: String,
        features_json: String,
    }
}

/// What a link led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPortal {
    /// Name of the organization.
    pub organization: String,
    /// What the link was for.
    pub features: Vec<Feature>,
}

impl Store {
    /// Adds a link. [`StoreError::MissingParent`]: the organization is gone.
    pub async fn insert_portal_link(
        &self,
        environment_id: &str,
        link: &PortalLink,
    ) -> Result<(), StoreError> {
        let features =
            serde_json::to_string(&link.features).map_err(|_| StoreError::Unreadable("portal link"))?;
        let query = sql(
            "INSERT INTO portal_links (environment_id, id, organization_id, features_json, expires_at_ms) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        let query = query.bind(environment_id.to_owned()).bind(link.id.clone());
        let query = query.bind(link.organization_id.clone()).bind(features).bind(link.expires_at_ms);
        self.execute(query).await?;
        Ok(())
    }

    /// Uses a link up. `None`: there is none of this id, it was used before, or its time is over.
    pub async fn use_portal_link(
        &self,
        environment_id: &str,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<Option<OpenedPortal>, StoreError> {
        let using = sql("UPDATE portal_links SET used_at_ms = $3 \
             WHERE environment_id = $1 AND id = $2 AND used_at_ms IS NULL AND expires_at_ms > $3");
        if self.execute(using.bind(environment_id.to_owned()).bind(id.to_owned()).bind(now_ms)).await? == 0 {
            return Ok(None);
        }
        let row: Option<OpenedRow> = sql("SELECT o.display_name, l.features_json FROM portal_links l \
             JOIN organizations o ON o.environment_id = l.environment_id AND o.id = l.organization_id \
             WHERE l.environment_id = $1 AND l.id = $2")
        .bind(environment_id)
        .bind(id)
        .fetch_optional(&self.pool)
        .await?;
        let opened = row.map(|row| {
            let features = serde_json::from_str(&row.features_json);
            let features = features.map_err(|_| StoreError::Unreadable("portal link"))?;
            Ok(OpenedPortal { organization: row.display_name, features })
        });
        opened.transpose()
    }
}
