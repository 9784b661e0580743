//! Several entries in one search: `(|(uid=a)(uid=b)…)` below what their names have in common, or `(|(entryUUID=…)…)`.
//!
//! A server answers such a search at about the price of one read, if it keeps an equality index of the attribute. Without one it goes
//! through the whole directory. Nothing in the protocol tells, so each attribute is tried before it is relied on: a search for one
//! value must not take much longer than a read by name. Where it does, and where a name cannot be asked for so, each entry is read
//! by itself, as many at a time as a connection takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use ldap3::controls::{Control as AnswerControl, RawControl};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use untether_directory::{Control, Failure, Outcome, Read as _, Scope, Usability};
use untether_model::dn::DnKey;
use untether_model::{AttrName, Dn, Entry, StableId};

use crate::client::{Client, Inner, Query};
use crate::controls::{self, STABLE_ID};
use crate::decode;
use crate::outcome::NO_SUCH_OBJECT;
use crate::request::Filter;

/// A search for one value may take so many times as long as a read by name…
const TIMES_A_READ: u32 = 4;

/// …and this much longer; a directory that is gone through in less is small.
const LONGER: Duration = Duration::from_millis(10);

/// How often both are measured; the fastest counts.
const TRIES: usize = 3;

/// Attributes by which several entries can be asked for, as far as that was tried.
#[derive(Default)]
pub(crate) struct Indexed(Mutex<BTreeMap<String, Arc<OnceCell<bool>>>>);

/// An entry with the controls of its answer.
type Found = (Entry, Vec<AnswerControl>);

/// What is wanted of entries beside their names.
struct Wanted<'a> {
    /// They must match this, too; empty for no such filter.
    filter: &'a str,
    attrs: &'a [AttrName],
    controls: Vec<RawControl>,
}

impl<'a> Wanted<'a> {
    fn attrs(attrs: &'a [AttrName]) -> Self {
        Self { filter: "", attrs, controls: Vec::new() }
    }
}

impl Inner {
    /// Whether a search for values of this attribute costs about as little as a read by name.
    async fn is_indexed(&self, attr: &str, value: &[u8]) -> Outcome<bool> {
        let cell = {
            let mut tried = self.indexed.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tried.entry(attr.to_ascii_lowercase()).or_default())
        };
        let base = &self.settings.base;
        let subject = self.subject("try an index").about(base);
        let filter = format!("({})", equality(attr, value));
        let measure = || async {
            let none = none_of();
            let (mut read, mut search) = (Duration::MAX, Duration::MAX);
            for _ in 0..TRIES {
                let began = Instant::now();
                self.entry(subject, base, &none, vec![controls::manage_dsa_it()]).await?;
                read = read.min(began.elapsed());
                let controls = vec![controls::manage_dsa_it()];
                let query = Query { base, scope: Scope::Subtree, filter: &filter, attrs: &none, controls, size_limit: 1 };
                let began = Instant::now();
                self.query(subject, query).await?;
                search = search.min(began.elapsed());
            }
            Ok(search <= read * TIMES_A_READ + LONGER)
        };
        cell.get_or_try_init(measure).await.copied()
    }

    /// One search for entries that have any of these values; `None`: each is to be asked for by itself.
    async fn search_many(
        &self,
        (base, attr, values): (&Dn, &str, &[Vec<u8>]),
        wanted: Wanted<'_>,
    ) -> Outcome<Option<Vec<Found>>> {
        let Some(first) = values.first() else { return Ok(Some(Vec::new())) };
        if !self.is_indexed(attr, first).await? {
            return Ok(None);
        }
        let any: String = values.iter().map(|value| format!("({})", equality(attr, value))).collect();
        let filter = format!("(&(|{any}){})", wanted.filter);
        let controls = wanted.controls.into_iter().chain([controls::manage_dsa_it()]).collect();
        let subject = self.subject("read several entries").about(base);
        let query = Query { base, scope: Scope::Subtree, filter: &filter, attrs: wanted.attrs, controls, size_limit: 0 };
        let answer = self.query(subject, query).await?;
        match answer.result.rc {
            0 => Ok(Some(answer.entries)),
            NO_SUCH_OBJECT => Ok(Some(Vec::new())),
            // A bound of the server's, say: alone each may go.
            _ => Ok(None),
        }
    }

    /// Entries by name, in the order of the names; `None`: each is to be asked for by itself.
    async fn search_names(&self, names: &[Dn], wanted: Wanted<'_>) -> Outcome<Option<Vec<Option<Found>>>> {
        let Some((base, attr, values)) = in_common(names).filter(|_| names.len() > 1) else { return Ok(None) };
        let Some(found) = self.search_many((&base, &attr, &values), wanted).await? else { return Ok(None) };
        let mut found: BTreeMap<DnKey, Found> = found.into_iter().map(|found| (found.0.dn.key().clone(), found)).collect();
        Ok(Some(names.iter().map(|dn| found.remove(dn.key())).collect()))
    }
}

/// Questions about one entry each, answered in their order, so many of them at a time.
async fn each<T>(asked: Vec<BoxFuture<'_, Outcome<T>>>, at_once: usize) -> Outcome<Vec<T>> {
    let mut asked = futures::stream::iter(asked).buffered(at_once);
    let mut answers = Vec::new();
    while let Some(answer) = asked.next().await {
        answers.push(answer?);
    }
    Ok(answers)
}

impl Client {
    pub(crate) async fn find_several(&self, base: &Dn, ids: &[StableId], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        let values: Vec<Vec<u8>> = ids.iter().map(|id| id.as_str().as_bytes().to_vec()).collect();
        let asked = with(attrs, STABLE_ID);
        let Some(found) = self.inner.search_many((base, STABLE_ID, &values), Wanted::attrs(&asked)).await? else {
            // Going through the directory for each of them would be worse than not finding any.
            return Ok(vec![None; ids.len()]);
        };
        let id_of = |entry: &Entry| entry.text(STABLE_ID).map(str::to_ascii_lowercase);
        let mut by_id: BTreeMap<String, Entry> = BTreeMap::new();
        for (entry, _) in found {
            if let Some(id) = id_of(&entry) {
                by_id.insert(id, entry);
            }
        }
        Ok(ids.iter().map(|id| by_id.remove(&id.as_str().to_ascii_lowercase())).collect())
    }

    pub(crate) async fn read_several(&self, names: &[Dn], attrs: &[AttrName]) -> Outcome<Vec<Option<Entry>>> {
        match self.inner.search_names(names, Wanted::attrs(attrs)).await? {
            Some(found) => Ok(found.into_iter().map(|found| found.map(|(entry, _)| entry)).collect()),
            None => each(names.iter().map(|dn| self.read(dn, attrs)).collect(), self.at_once()).await,
        }
    }

    pub(crate) async fn match_several(&self, names: &[Dn], filter: &str) -> Outcome<Vec<Option<bool>>> {
        let none = none_of();
        Filter::parse(self.inner.subject("read several entries"), filter)?;
        if let Some(matching) = self.inner.search_names(names, Wanted { filter, ..Wanted::attrs(&none) }).await? {
            let others: Vec<Dn> = names.iter().zip(&matching).filter(|(_, m)| m.is_none()).map(|(dn, _)| dn.clone()).collect();
            let mut there = self.read_several(&others, &none).await?.into_iter();
            let answer = |matches: Option<Found>| match matches {
                Some(_) => Some(true),
                None => there.next().flatten().map(|_| false),
            };
            return Ok(matching.into_iter().map(answer).collect());
        }
        each(names.iter().map(|dn| self.match_alone(dn, filter).boxed()).collect(), self.at_once()).await
    }

    async fn match_alone(&self, dn: &Dn, filter: &str) -> Outcome<Option<bool>> {
        if self.read(dn, &none_of()).await?.is_none() {
            return Ok(None);
        }
        let subject = self.inner.subject("read").about(dn);
        let controls = vec![controls::manage_dsa_it()];
        let query = Query { base: dn, scope: Scope::Base, filter, attrs: &none_of(), controls, size_limit: 0 };
        let answer = self.inner.query(subject, query).await?;
        match answer.result.rc {
            0 => Ok(Some(!answer.entries.is_empty())),
            NO_SUCH_OBJECT => Ok(None),
            _ => Err(subject.refusal(&answer.result)),
        }
    }

    pub(crate) async fn usability_of_several(&self, names: &[Dn]) -> Outcome<Vec<Usability>> {
        if !self.inner.features().await?.has_control(Control::ACCOUNT_USABILITY) {
            return Ok(vec![Usability::Unknown; names.len()]);
        }
        let none = none_of();
        let wanted = Wanted { controls: vec![controls::account_usability()], ..Wanted::attrs(&none) };
        match self.inner.search_names(names, wanted).await? {
            Some(found) => {
                let mut told = Vec::with_capacity(names.len());
                for (dn, found) in names.iter().zip(found) {
                    told.push(match found {
                        Some((_, answers)) => decode::usability(&answers).unwrap_or(Usability::Unknown),
                        None => self.usability_alone(dn).await?,
                    });
                }
                Ok(told)
            }
            None => each(names.iter().map(|dn| self.usability_alone(dn).boxed()).collect(), self.at_once()).await,
        }
    }

    async fn usability_alone(&self, dn: &Dn) -> Outcome<Usability> {
        match self.usability(dn).await {
            Err(error) if error.failure == Failure::NoSuchObject => Ok(Usability::Unknown),
            answer => answer,
        }
    }

    /// Questions in flight at a time: what one connection takes.
    fn at_once(&self) -> usize {
        self.inner.settings.limits.in_flight
    }
}

/// Asks for no attributes (RFC 4511, section 4.5.1.8).
fn none_of() -> [AttrName; 1] {
    [AttrName::new("1.1")]
}

/// `attr=value` with the value escaped as RFC 4515 says.
fn equality(attr: &str, value: &[u8]) -> String {
    let mut text = format!("{attr}=");
    for byte in value {
        match byte {
            b'(' | b')' | b'*' | b'\\' | 0 | 0x80.. => text.push_str(&format!("\\{byte:02x}")),
            _ => text.push(char::from(*byte)),
        }
    }
    text
}

/// The name below which all of these are, and the attribute with each one's value that names them; `None` where they have no such
/// attribute in common.
fn in_common(names: &[Dn]) -> Option<(Dn, String, Vec<Vec<u8>>)> {
    let mut base: Option<Dn> = None;
    let mut above = None;
    let mut attr: Option<AttrName> = None;
    let mut values = Vec::with_capacity(names.len());
    for dn in names {
        let rdn = dn.rdn()?;
        let [ava] = rdn.0.as_slice() else { return None };
        if *attr.get_or_insert_with(|| ava.attr.clone()) != ava.attr {
            return None;
        }
        values.push(ava.value.as_bytes().to_vec());
        // Most are beside each other.
        if above == Some(dn.key().above()) {
            continue;
        }
        above = Some(dn.key().above());
        let parent = dn.parent()?;
        base = Some(match base {
            None => parent,
            Some(base) => above_both(base, &parent)?,
        });
    }
    Some((base?, attr?.as_str().to_owned(), values))
}

fn above_both(mut one: Dn, other: &Dn) -> Option<Dn> {
    while !other.is_within(&one) {
        one = one.parent()?;
    }
    Some(one)
}

fn with(attrs: &[AttrName], name: &str) -> Vec<AttrName> {
    let mut attrs = attrs.to_vec();
    let name = AttrName::new(name);
    if !attrs.iter().any(|attr| *attr == name || attr.as_str() == "+") {
        attrs.push(name);
    }
    attrs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn names_are_asked_for_below_what_they_have_in_common() {
        let names = [dn("uid=a\\,1,ou=x,ou=p,dc=e"), dn("UID=b,ou=y,ou=p,dc=e"), dn("uid=c,ou=p,dc=e")];
        let (base, attr, values) = in_common(&names).unwrap();
        assert_eq!((base.as_str(), attr.as_str()), ("ou=p,dc=e", "uid"));
        assert_eq!(values, [b"a,1".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        assert!(in_common(&[dn("uid=a,dc=e"), dn("cn=a,dc=e")]).is_none());
        assert!(in_common(&[dn("uid=a+cn=b,dc=e"), dn("uid=b,dc=e")]).is_none());
    }

    #[test]
    fn hostile_values_are_escaped() {
        let filter = format!("(&(|({})))", equality("cn", "*)(花\\\0".as_bytes()));
        assert_eq!(filter, r"(&(|(cn=\2a\29\28\e8\8a\b1\5c\00)))");
        assert!(ldap3::parse_filter(&filter).is_ok());
    }
}
