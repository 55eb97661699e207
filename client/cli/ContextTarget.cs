using System.CommandLine;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli;

/// <summary>A context of a running service, which the command's first argument names.</summary>
internal sealed class ContextTarget : IAsyncDisposable
{
    private static readonly Argument<string> HandleArgument = new("HANDLE") { Description = "The context's handle: 32 hexadecimal digits." };

    private readonly Connection _connection;

    private ContextTarget(ContextHandle handle, Connection connection) => (Handle, _connection, Client) = (handle, connection, connection.CreateClient());

    public ContextHandle Handle { get; }

    public IommufdClient Client { get; }

    /// <summary>Makes a command whose first argument is the context.</summary>
    public static Command CreateCommand(string name, string description)
    {
        var command = new Command(name, description) { HandleArgument };
        ConnectionOptions.AddTo(command);
        return command;
    }

    /// <summary>Connects to the context's service. The context need not be open.</summary>
    public static async Task<ContextTarget> OpenAsync(ParseResult options, CancellationToken cancellationToken)
    {
        if (!ContextHandle.TryParse(options.GetValue(HandleArgument), out var handle))
        {
            throw new CliException($"'{options.GetValue(HandleArgument)}' is not a context's handle, which has 32 hexadecimal digits. IommuContext.Handle prints it.");
        }

        RequireService(options);
        return new ContextTarget(handle, await Connection.OpenAsync(options, cancellationToken));
    }

    /// <summary>Requires that the options name a running service: a silo in this process has no contexts to show.</summary>
    public static void RequireService(ParseResult options)
    {
        if (!ConnectionOptions.NamesService(options))
        {
            throw new CliException("This command needs a running service: 'make run' starts one in .state/iommufd.sock, or name its socket with --socket, its gateway by TCP or its port for Orleans clients with --gateway, or the cluster's database with --cluster.");
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
