//! The LDAP client behind the directory capabilities.
