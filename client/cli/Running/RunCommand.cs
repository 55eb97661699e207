using System.CommandLine;
using System.ComponentModel.DataAnnotations;
using IommuFd.Cli.Faults;
using IommuFd.Cli.Recording;

namespace IommuFd.Cli.Running;

// The command becomes the launcher, iommufd-run, at once: what can be run, and how, is decided there, and where a silo is up the launcher becomes the program. What needs a
// process beside the program the launcher hands over to this: a silo, a trace, a report of leaks. This starts the program by the launcher too.

/// <summary><c>iommufd run -- PROGRAM ARGS...</c>: runs a program with an emulated /dev/iommu.</summary>
internal static class RunCommand
{
    /// <summary>The status when running has failed and not the program: that of env, nohup and timeout.</summary>
    private const int OwnFailure = 125;

    private const int Leaked = 99;

    private static readonly Option<string?> SocketOption = new("--socket")
    {
        Description = $"The gateway's Unix socket of a silo that is up. Without it: {ConnectionOptions.SocketVariable}, or ./{ConnectionOptions.DefaultSocket} if a silo answers there; else a silo runs in this process until the program ends.",
    };

    private static readonly Option<bool> SuperviseOption = new("--supervise")
    {
        Description = "Holds the program's system calls for a supervisor instead of preloading: for what preloading can't see, such as Go. Static programs are run so by themselves.",
    };

    private static readonly Option<string?> BridgeOption = new("--bridge") { Description = $"The library {BridgeFiles.Library}. Without it: the one beside this command, or that of 'make bridge'." };

    private static readonly Option<bool> TraceOption = new("--trace") { Description = "Writes each call on /dev/iommu to stderr, in the manner of strace." };

    private static readonly Option<string?> OutputOption = new("--output", "-o") { Description = "Writes the trace to this file. Implies --trace." };

    private static readonly Option<bool> JsonOption = new("--json") { Description = "Writes the trace as JSON, one object a line. Implies --trace." };

    private static readonly Option<LeakCheck> LeakOption = new("--leak-check")
    {
        Description = $"Lists objects that the program left for close or exit to clean up. 'error' also makes the exit status {Leaked} if the program itself ended with 0.",
        DefaultValueFactory = _ => LeakCheck.No,
    };

    private static readonly Option<string?> RecordOption = new("--record")
    {
        Description = "Writes the program's calls with their answers to this file, which 'iommufd conformance' replays without the program. The program gets a silo of its own.",
    };

    private static readonly Option<string?> MemoryLimitOption = new("--memlock")
    {
        Description = "The most memory that the program's user, or with RLIMIT_MODE 1 a process, may have pinned, as 8M; 'caller' for each process's own RLIMIT_MEMLOCK. More is ENOMEM. The program gets a silo of its own.",
    };

    private static readonly Argument<string[]> ProgramArgument = new("PROGRAM") { Description = "The program and its arguments. Put -- before it.", Arity = ArgumentArity.OneOrMore };

    private enum LeakCheck
    {
        No,
        Report,
        Error,
    }

    public static Command Create()
    {
        var command = new Command("run", "Runs a program with an emulated /dev/iommu, and ends with its status.")
        {
            ProgramArgument, SocketOption, ConnectionOptions.DurableOption, SuperviseOption, BridgeOption, TraceOption, OutputOption, JsonOption, RecordOption, LeakOption,
        };
        FaultOptions.AddTo(command);
        DeviceOptions.AddTo(command);
        command.Add(MemoryLimitOption);
        command.SetAction(async (options, _) =>
        {
            try
            {
                return await RunAsync(options);
            }
            catch (Exception exception) when (exception is CliException or IOException or UnauthorizedAccessException or ValidationException)
            {
                Terminal.Error($"iommufd run: {exception.Message}");
                return OwnFailure;
            }
        });
        return command;
    }

    private static async Task<int> RunAsync(ParseResult options)
    {
        var check = options.GetValue(LeakOption);
        var files = BridgeFiles.Find(options.GetValue(BridgeOption));
        using var recorder = options.GetValue(RecordOption) is { } record ? new Recorder(record) : null;
        using var program = new ProgramProcess(files);
        var command = DeviceOptions.Inheriting(options, options.GetValue(ProgramArgument)!);
        using var silo = await EmbeddedSilo.StartUnlessAsync(FindSocket(options), recorder, DeviceOptions.DevicesOf(options), options.GetValue(MemoryLimitOption));
        using var writer = OpenWriter(options);
        var leaks = check == LeakCheck.No ? null : new LeakTracker();
        int status;
        using (var trace = writer is null && leaks is null ? null : new TraceListener(record =>
        {
            writer?.Write(record);
            leaks?.Add(record);
        }, writer is null ? null : new FaultWatch(silo.Socket, silo.IsOwn, writer.Write)))
        {
            string[] flags = [.. options.GetValue(ConnectionOptions.DurableOption) ? ["--durable"] : Array.Empty<string>(), .. options.GetValue(SuperviseOption) ? ["--supervise"] : Array.Empty<string>()];
            status = await program.RunAsync(silo.Socket, trace?.Path, flags, command, FaultOptions.EnvironmentOf(options));
        }

        if (recorder is not null)
        {
            await recorder.WriteAsync(options.GetValue(ProgramArgument)![0]);
        }

        if (leaks is null)
        {
            return status;
        }

        LeakReport.Write(leaks.Ended);
        return check == LeakCheck.Error && status == 0 && leaks.Ended.Count > 0 ? Leaked : status;
    }

    /// <summary>The socket of a silo that is up; null to start one.</summary>
    private static string? FindSocket(ParseResult options)
    {
        if ((options.GetValue(RecordOption) is not null ? RecordOption.Name : DeviceOptions.DevicesOf(options).Length > 0 ? "--device" : options.GetValue(MemoryLimitOption) is not null ? MemoryLimitOption.Name : null) is { } own)
        {
            return options.GetValue(SocketOption) is null && !options.GetValue(ConnectionOptions.DurableOption)
                ? null
                : throw new CliException($"{own} gives the program a silo of its own: it can't be used with --socket or --durable.");
        }

        if ((options.GetValue(SocketOption) ?? Environment.GetEnvironmentVariable(ConnectionOptions.SocketVariable)) is { Length: > 0 } named)
        {
            return named;
        }

        if (BridgeFiles.Answers(ConnectionOptions.DefaultSocket))
        {
            return ConnectionOptions.DefaultSocket;
        }

        return options.GetValue(ConnectionOptions.DurableOption)
            ? throw new CliException("--durable needs a silo that is up, named by --socket: one that ends with the program has nothing that lasts.")
            : null;
    }

    private static TraceWriter? OpenWriter(ParseResult options)
    {
        var (path, isJson) = (options.GetValue(OutputOption), options.GetValue(JsonOption));
        if (path is null && !isJson && !options.GetValue(TraceOption))
        {
            return null;
        }

        return new TraceWriter(path is null ? Console.OpenStandardError() : File.Create(path), isJson);
    }
}
