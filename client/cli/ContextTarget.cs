using System.CommandLine;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli;

/// <summary>A context of a running service, as a command's user names it.</summary>
internal sealed class ContextTarget : IAsyncDisposable
{
    private static readonly Argument<string> HandleArgument = new("HANDLE") { Description = "The context's handle: 32 hexadecimal digits." };

    private readonly Connection _connection;

    private ContextTarget(ContextHandle handle, Connection connection) => (Handle, _connection, Client) = (handle, connection, new IommufdClient(connection.Grains));

    public ContextHandle Handle { get; }

    public IommufdClient Client { get; }

    /// <summary>Makes a command whose first argument is the context.</summary>
    public static Command CreateCommand(string name, string description)
    {
        var command = new Command(name, description) { HandleArgument };
        ConnectionOptions.AddTo(command);
        return command;
    }

    /// <summary>Connects to the service that has the context. It need not be open.</summary>
    public static async Task<ContextTarget> OpenAsync(ParseResult options, CancellationToken cancellationToken)
    {
        if (!ContextHandle.TryParse(options.GetValue(HandleArgument), out var handle))
        {
            throw new CliException($"'{options.GetValue(HandleArgument)}' is no handle: 32 hexadecimal digits, as IommuContext.Handle prints them.");
        }

        RequireService(options);
        return new ContextTarget(handle, await Connection.OpenAsync(options, cancellationToken));
    }

    /// <summary>Refuses to look at a silo of this process: it has nothing to be looked at.</summary>
    public static void RequireService(ParseResult options)
    {
        if (!ConnectionOptions.NamesService(options))
        {
            throw new CliException("A context is looked at where it lives: name its silo with --gateway, for example 127.0.0.1:30000, or its cluster with --cluster.");
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
