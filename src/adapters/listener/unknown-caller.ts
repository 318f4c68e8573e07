import { anonymous, type Caller } from '../../application/access/access.js';

/** The caller of a connection that has ended meanwhile: it may not do what needs a certificate. */
export const unknownCaller: Caller = { subject: anonymous.subject, certified: false };
