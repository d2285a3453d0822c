/** How programs in the guest are told to use the egress proxy. */

/**
 * The usual variables, in both spellings because programs disagree: curl reads `http_proxy` in lower
 * case only, others upper case only.
 *
 * @param guestPort Port on the guest's loopback whose connections reach the proxy, 1..65535.
 */
export function proxyEnvironment(guestPort: number): Record<string, string> {
  const url = `http://127.0.0.1:${guestPort}`;
  const direct = 'localhost,127.0.0.1,::1';
  return {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    NO_PROXY: direct,
    http_proxy: url,
    https_proxy: url,
    no_proxy: direct,
    // Node's own fetch and http read the others only when told to.
    NODE_USE_ENV_PROXY: '1',
  };
}
