//! The probing capability: one bind with a known credential, on a connection of its own.

use async_trait::async_trait;
use tokio::time::timeout;
use untether_directory::{Control, Failure, Outcome, Probe, ProbeResult, Secret};
use untether_model::{Dn, Side};

use crate::client::Client;
use crate::{controls, decode};

#[async_trait]
impl Probe for Client {
    fn side(&self) -> Side {
        self.inner.settings.side
    }

    async fn bind(&self, dn: &Dn, secret: &[u8]) -> Outcome<ProbeResult> {
        let inner = &self.inner;
        let subject = inner.subject("probe by bind").about(dn);
        let secret = Secret::new(secret).map_err(|empty| subject.error(Failure::Invalid, empty.to_string()))?;
        let permit = timeout(inner.settings.timeouts.operation, inner.probes.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(subject.error(Failure::Busy, "other probes took too long; nothing was sent"));
        };
        let connection = inner.connector.open_unbound().await?;
        let result = inner.connector.simple_bind(&connection, dn, &secret, vec![controls::password_policy()]).await?;
        connection.close().await;
        let locked = controls::answer(&result.ctrls, Control::PASSWORD_POLICY).is_some_and(decode::says_locked);
        Ok(ProbeResult { code: result.rc, message: result.text, locked })
    }
}
