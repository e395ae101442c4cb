/* Where from, when and to whom: the terms of an agreement beside its fields and rows, checked. */
#include <string.h>

#include "authz/bounds.h"
#include "services/agreement_terms.h"

static int check_networks(struct call *call, const Sluice__V1__Agreement *agreement)
{
    struct authz_network network;
    if (agreement->n_networks > AUTHZ_NETWORKS_MAX)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "NETWORK_INVALID",
                       "an agreement has at most %d networks", AUTHZ_NETWORKS_MAX);
    for (size_t i = 0; i < agreement->n_networks; i++)
        if (strlen(agreement->networks[i]) > AUTHZ_BOUND_TEXT_BYTES_MAX ||
            !authz_network_parse(agreement->networks[i], &network))
            return err_set(
                &call->err, ERR_INVALID_ARGUMENT, "NETWORK_INVALID",
                "\"%.60s\" is no network; write 10.1.0.0/16 or 2001:db8::/32, with nothing set "
                "behind the prefix",
                agreement->networks[i]);
    return 0;
}

static int check_windows(struct call *call, const Sluice__V1__Agreement *agreement)
{
    struct authz_window window;
    if (agreement->n_windows > AUTHZ_WINDOWS_MAX)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "WINDOW_INVALID",
                       "an agreement has at most %d windows", AUTHZ_WINDOWS_MAX);
    for (size_t i = 0; i < agreement->n_windows; i++)
        if (strlen(agreement->windows[i]) > AUTHZ_BOUND_TEXT_BYTES_MAX ||
            !authz_window_parse(agreement->windows[i], &window))
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "WINDOW_INVALID",
                           "\"%.60s\" is no time of day; write \"mon-fri 08:30-17:30\", \"sat+sun "
                           "10:00-12:00\" or \"22:00-24:00\"; a night takes two",
                           agreement->windows[i]);
    return 0;
}

int agreement_check_bounds(struct call *call, const Sluice__V1__Agreement *agreement)
{
    if (check_networks(call, agreement) < 0 || check_windows(call, agreement) < 0)
        return -1;
    if (strlen(agreement->onward_recipient) > AGREEMENT_TEXT_BYTES_MAX)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "ONWARD_INVALID",
                       "say in at most 1,024 bytes to whom the data may be passed on");
    return 0;
}
