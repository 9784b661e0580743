//! How an account of the shared store becomes one of the independent directory, and how that is put together from what several levels
//! of the policy say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AttrMap, AttrName, Dn};

/// One group of the shared store and the group of the independent directory that takes its members over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMap {
    /// Group in the shared store.
    pub shared: Dn,
    /// Group in the independent directory.
    pub independent: Dn,
    /// Create it with its first members where it does not exist.
    #[serde(default)]
    pub create: bool,
}

/// How an account of the shared store becomes one of the independent directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Where people's entries are made.
    pub base: Dn,
    /// Naming attribute.
    pub rdn: AttrName,
    /// Object classes of the new entry.
    pub object_classes: Vec<String>,
    /// Attributes copied as they are, with their options (`cn` covers `cn;lang-ja`).
    pub copy: Vec<AttrName>,
    /// Attributes made from a template such as `{uid}@own.example`; names in braces are attributes of the shared entry or
    /// `entity`. A subject that lacks one is not planned.
    pub templates: BTreeMap<AttrName, String>,
    /// Attributes with fixed values.
    pub constants: AttrMap,
    /// Attribute of the new entry that keeps the stable id of the shared one.
    pub link_attribute: Option<AttrName>,
    /// Attributes that refer to another person (`manager`, `secretary`): translated when the other one is in the independent
    /// directory or planned.
    pub references: Vec<AttrName>,
    /// Groups whose memberships follow.
    pub groups: Vec<GroupMap>,
}

/// What one level of the policy says of the mapping. A key that it gives takes the place of the same key below; templates and
/// constants do so attribute by attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingPart {
    /// [`Mapping::base`].
    pub base: Option<Dn>,
    /// [`Mapping::rdn`]; `uid` where no level says.
    pub rdn: Option<AttrName>,
    /// [`Mapping::object_classes`].
    pub object_classes: Option<Vec<String>>,
    /// [`Mapping::copy`].
    pub copy: Option<Vec<AttrName>>,
    /// [`Mapping::templates`]; an empty text leaves the attribute out.
    pub templates: BTreeMap<AttrName, String>,
    /// [`Mapping::constants`]; an empty list leaves the attribute out.
    pub constants: AttrMap,
    /// [`Mapping::link_attribute`].
    pub link_attribute: Option<AttrName>,
    /// [`Mapping::references`].
    pub references: Option<Vec<AttrName>>,
    /// [`Mapping::groups`].
    pub groups: Option<Vec<GroupMap>>,
}

impl MappingPart {
    /// What is said here, and below where this level is silent.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        let (mut templates, mut constants) = (below.templates, below.constants);
        // What this level says of an attribute stands for all that is said of it below, be that a template or a constant.
        templates.retain(|attr, _| !self.constants.contains_key(attr));
        constants.retain(|attr, _| !self.templates.contains_key(attr));
        templates.extend(self.templates);
        constants.extend(self.constants);
        Self {
            base: self.base.or(below.base),
            rdn: self.rdn.or(below.rdn),
            object_classes: self.object_classes.or(below.object_classes),
            copy: self.copy.or(below.copy),
            templates,
            constants,
            link_attribute: self.link_attribute.or(below.link_attribute),
            references: self.references.or(below.references),
            groups: self.groups.or(below.groups),
        }
    }

    /// The whole mapping; the error names the key that no level gives.
    ///
    /// # Errors
    /// `base`, `object_classes` or `copy`.
    pub fn complete(self) -> Result<Mapping, &'static str> {
        let (mut templates, mut constants) = (self.templates, self.constants);
        templates.retain(|_, text| !text.is_empty());
        constants.retain(|_, values| !values.is_empty());
        Ok(Mapping {
            base: self.base.ok_or("base")?,
            rdn: self.rdn.unwrap_or_else(|| AttrName::new("uid")),
            object_classes: self.object_classes.filter(|classes| !classes.is_empty()).ok_or("object_classes")?,
            copy: self.copy.ok_or("copy")?,
            templates,
            constants,
            link_attribute: self.link_attribute,
            references: self.references.unwrap_or_default(),
            groups: self.groups.unwrap_or_default(),
        })
    }
}

/// The pieces of a template: what stands between the braces is the name of an attribute, or `entity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Is replaced.
    Name(&'a str),
}

/// Takes a template apart.
///
/// # Errors
/// What is wrong with it.
pub fn template_pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or_else(|| format!("the template '{template}' lacks a closing brace"))?;
        if name.trim().is_empty() {
            return Err(format!("the template '{template}' names no attribute between its braces"));
        }
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Name(name));
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}
