/** A model's server that takes each connection and never answers. */
export function silentModel(
  onConnection: () => Promise<void> = () => Promise.resolve(),
): { readonly url: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const listening = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await onConnection();
    }
  })();
  return {
    url: `http://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      await listening;
      for (const connection of connections) connection.close();
    },
  };
}
