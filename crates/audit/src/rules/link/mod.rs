//! `link.*`: paths by which a secret, a login or an account state in one store affects the other (OpenLDAP).

pub mod mapping;
pub mod pass_through;
pub mod proxy;
pub mod referral;
pub mod replication;
pub mod shared_secret;
