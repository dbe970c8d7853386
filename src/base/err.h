/* Errors of the system, in Saggar's words. The messages are saggar_strerror() and saggar_errname(). */
#ifndef SG_BASE_ERR_H
#define SG_BASE_ERR_H

/* The saggar_error for an errno value; 0 gives SAGGAR_OK, an unknown one SAGGAR_ESYSTEM. */
int sg_err_from_errno(int err);

#endif
