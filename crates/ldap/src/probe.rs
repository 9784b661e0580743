//! The probing capability: binds with a known credential, on connections that serve nothing else.

use async_trait::async_trait;
use untether_directory::{Control, Failure, Outcome, Probe, ProbeResult, Secret};
use untether_model::{Dn, Side};

use crate::client::Client;
use crate::outcome::INVALID_CREDENTIALS;
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
        let mut own = inner.probes.take(&inner.connector, subject).await?;
        let result = loop {
            let lost = || subject.error(Failure::Unreachable, "the connection was lost");
            let connection = own.connection().ok_or_else(lost)?;
            let controls = vec![controls::password_policy()];
            match inner.connector.simple_bind(connection, (subject, dn), &secret, controls).await? {
                Ok(result) => break result,
                // The server may have closed it since it served the last one.
                Err(lost) if own.used_before && lost.allows_another_try() => own.renew(&inner.connector).await?,
                Err(lost) => return Err(lost.of_bind(subject)),
            }
        };
        // A bind that was refused leaves a connection that is nobody's, and the next bind may go over it (RFC 4513, section 4). One that
        // let somebody in is closed.
        match own.connection() {
            Some(connection) if result.rc != INVALID_CREDENTIALS => drop(connection.close().await),
            _ => own.give_back(),
        }
        let locked = controls::answer(&result.ctrls, Control::PASSWORD_POLICY).is_some_and(decode::says_locked);
        Ok(ProbeResult { code: result.rc, message: result.text, locked })
    }
}
