//! The reading capability.

use std::sync::Arc;

use async_trait::async_trait;
use untether_directory::{Control, EntryStream, Failure, Features, Outcome, Read, Scope, Search, Usability};
use untether_model::schema::{Equality, Schema};
use untether_model::{AttrName, Dn, Entry, Side, StableId, Value};

use crate::client::{Client, Inner, Query};
use crate::controls::{self, STABLE_ID};
use crate::decode;
use crate::outcome::{COMPARE_FALSE, COMPARE_TRUE, NO_SUCH_ATTRIBUTE, NO_SUCH_OBJECT};
use crate::search::PagedSearch;

/// Structural class of slapd's root DSE.
const OPENLDAP: &str = "OpenLDAProotDSE";
/// Values that one matched-values request lists.
const LISTED: usize = 500;

#[async_trait]
impl Read for Client {
    fn side(&self) -> Side {
        self.inner.settings.side
    }

    async fn features(&self) -> Outcome<Features> {
        self.inner.features().await.cloned()
    }

    async fn schema(&self) -> Outcome<Arc<Schema>> {
        self.inner.schema().await
    }

    async fn search(&self, search: Search) -> Outcome<Box<dyn EntryStream>> {
        Ok(Box::new(PagedSearch::start(Arc::clone(&self.inner), search).await?))
    }

    async fn read(&self, dn: &Dn, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        let subject = self.inner.subject("read").about(dn);
        let found = self.inner.entry(subject, dn, attrs, vec![controls::manage_dsa_it()]).await?;
        Ok(found.map(|(entry, _)| entry))
    }

    async fn find(&self, base: &Dn, id: &StableId, attrs: &[AttrName]) -> Outcome<Option<Entry>> {
        let subject = self.inner.subject("find").about(base);
        let filter = controls::equality_filter(STABLE_ID, id.as_str());
        let query = Query {
            base,
            scope: Scope::Subtree,
            filter: &filter,
            attrs,
            controls: vec![controls::manage_dsa_it()],
            size_limit: 2,
        };
        let answer = self.inner.query(subject, query).await?;
        if answer.result.rc != 0 {
            return Err(subject.refusal(&answer.result));
        }
        let mut entries = answer.entries.into_iter();
        match (entries.next(), entries.next()) {
            (Some((entry, _)), None) => Ok(Some(entry)),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(subject.error(Failure::Refused, format!("several entries have the stable id {id}"))),
        }
    }

    async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>> {
        self.inner.compare(dn, attr, value).await
    }

    async fn present(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let subject = self.inner.subject("read values").about(dn);
        let schema = self.inner.schema().await?;
        if schema.equality(attr) == Equality::None {
            // Neither an assertion nor a compare can name a value of such an attribute; they are few and small enough to read.
            let held = self.inner.entry(subject, dn, std::slice::from_ref(attr), vec![controls::manage_dsa_it()]).await?;
            let (held, _) = held.ok_or_else(|| missing(subject))?;
            let held = held.attrs.values_of(attr);
            return Ok(values.iter().filter(|v| schema.contains(attr, held, v)).cloned().collect());
        }
        if self.inner.features().await?.has_control(Control::MATCHED_VALUES) {
            let mut present = Vec::new();
            for chunk in values.chunks(LISTED) {
                let asked = vec![controls::matched_values(attr, chunk), controls::manage_dsa_it()];
                let held = self.inner.entry(subject, dn, std::slice::from_ref(attr), asked).await?;
                let (held, _) = held.ok_or_else(|| missing(subject))?;
                let held: std::collections::BTreeSet<Vec<u8>> =
                    held.attrs.get(attr).into_iter().flatten().map(|v| schema.normalize(attr, v)).collect();
                present.extend(chunk.iter().filter(|v| held.contains(&schema.normalize(attr, v))).cloned());
            }
            return Ok(present);
        }
        self.inner.present_by_compare(dn, attr, values).await
    }

    async fn usability(&self, dn: &Dn) -> Outcome<Usability> {
        if !self.inner.features().await?.has_control(Control::ACCOUNT_USABILITY) {
            return Ok(Usability::Unknown);
        }
        let subject = self.inner.subject("ask for usability").about(dn);
        // "1.1": no attributes (RFC 4511, section 4.5.1.8).
        let none = [AttrName::new("1.1")];
        let found = self.inner.entry(subject, dn, &none, vec![controls::account_usability()]).await?;
        let (_, answers) = found.ok_or_else(|| missing(subject))?;
        Ok(decode::usability(&answers).unwrap_or(Usability::Unknown))
    }

    async fn find_all(&self, base: &Dn, ids: &[StableId], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        self.find_several(base, ids, attrs).await
    }

    async fn read_all(&self, names: &[Dn], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        self.read_several(names, attrs).await
    }

    async fn match_all(&self, names: &[Dn], filter: &str) -> Outcome<Vec<Option<bool>>> {
        self.match_several(names, filter).await
    }

    async fn usability_all(&self, names: &[Dn]) -> Outcome<Vec<Usability>> {
        self.usability_of_several(names).await
    }
}

fn missing(subject: crate::outcome::Subject<'_>) -> untether_directory::DirectoryError {
    subject.error(Failure::NoSuchObject, "no such entry").with_code(NO_SUCH_OBJECT)
}

impl Inner {
    pub(crate) async fn features(&self) -> Outcome<&Features> {
        self.features.get_or_try_init(|| self.ask_features()).await
    }

    pub(crate) async fn schema(&self) -> Outcome<Arc<Schema>> {
        self.schema.get_or_try_init(|| self.ask_schema()).await.map(Arc::clone)
    }

    async fn ask_features(&self) -> Outcome<Features> {
        let subject = self.subject("read the root DSE");
        let attrs = [
            "supportedControl",
            "supportedExtension",
            "supportedSASLMechanisms",
            "namingContexts",
            "vendorName",
            "vendorVersion",
            "structuralObjectClass",
        ]
        .map(AttrName::new);
        let found = self.entry(subject, &Dn::root(), &attrs, Vec::new()).await?;
        let (dse, _) = found.ok_or_else(|| {
            subject
                .error(Failure::Refused, "the server shows no root DSE")
                .with_hint("allow this identity to read it: access to dn.base=\"\" by * read")
        })?;
        let texts = |name: &str| dse.texts(name).map(str::to_owned).collect::<Vec<_>>();
        let vendor = match dse.text("vendorName") {
            Some(name) => Some(match dse.text("vendorVersion") {
                Some(version) => format!("{name} {version}"),
                None => name.to_owned(),
            }),
            None => dse.text("structuralObjectClass").map(str::to_owned),
        };
        let mut extensions = texts("supportedExtension");
        if vendor.as_deref() == Some(OPENLDAP) && !self.settings.transactions {
            extensions.retain(|oid| oid != Control::TRANSACTION_START);
        }
        Ok(Features {
            controls: texts("supportedControl"),
            extensions,
            sasl_mechanisms: texts("supportedSASLMechanisms"),
            naming_contexts: dse.texts("namingContexts").filter_map(|name| Dn::parse(name).ok()).collect(),
            vendor,
        })
    }

    async fn ask_schema(&self) -> Outcome<Arc<Schema>> {
        let subject = self.subject("read the schema");
        let found = self.entry(subject, &Dn::root(), &[AttrName::new("subschemaSubentry")], Vec::new()).await?;
        let place = found
            .as_ref()
            .and_then(|(dse, _)| dse.text("subschemaSubentry"))
            .and_then(|name| Dn::parse(name).ok())
            .ok_or_else(|| subject.error(Failure::Refused, "the root DSE names no schema (subschemaSubentry)"))?;
        let asked = ["attributeTypes", "objectClasses"].map(AttrName::new);
        let found = self.entry(subject.about(&place), &place, &asked, Vec::new()).await?;
        let texts = |attr: &'static str| found.iter().flat_map(move |(entry, _)| entry.texts(attr));
        let schema = Schema::from_descriptions(texts("attributeTypes")).with_classes(texts("objectClasses"));
        if schema.is_empty() {
            return Err(subject
                .about(&place)
                .error(Failure::Refused, "the server shows no attribute types")
                .with_hint("allow this identity to read the subschema: access to dn.base=\"cn=Subschema\" by * read"));
        }
        Ok(Arc::new(schema))
    }

    /// Asks for each value by itself, as many at a time as one connection takes.
    async fn present_by_compare(&self, dn: &Dn, attr: &AttrName, values: &[Value]) -> Outcome<Vec<Value>> {
        let mut present = Vec::new();
        for chunk in values.chunks(self.settings.limits.in_flight) {
            let asked = chunk.iter().map(|value| self.compare(dn, attr, value));
            let held = futures::future::try_join_all(asked).await?;
            present.extend(chunk.iter().zip(held).filter(|(_, held)| *held == Some(true)).map(|(value, _)| value.clone()));
        }
        Ok(present)
    }

    pub(crate) async fn compare(&self, dn: &Dn, attr: &AttrName, value: &Value) -> Outcome<Option<bool>> {
        let subject = self.subject("compare").about(dn);
        let bound = self.settings.timeouts.operation;
        let result = self
            .reading(subject, |connection| async move {
                let mut ldap = connection.ldap();
                connection.within(bound, ldap.compare(dn.as_str(), attr.as_str(), value.as_bytes())).await.map(|answer| answer.0)
            })
            .await?;
        match result.rc {
            COMPARE_TRUE => Ok(Some(true)),
            COMPARE_FALSE => Ok(Some(false)),
            NO_SUCH_ATTRIBUTE | NO_SUCH_OBJECT => Ok(None),
            _ => Err(subject.refusal(&result)),
        }
    }
}
