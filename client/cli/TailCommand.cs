using System.CommandLine;
using System.Globalization;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli;

// A context keeps its last ioctls, and more of them while a viewer asks. So this command asks repeatedly for the ioctls after the last one shown, and counts those
// that were no longer kept. After a failover the context is another activation, whose numbers restart.

/// <summary><c>iommufd tail HANDLE</c>: shows the ioctls of a context as they happen.</summary>
internal static class TailCommand
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    public static Command Create()
    {
        var lines = new Option<int>("--lines", "-n") { Description = "How many of the last ioctls to show first.", DefaultValueFactory = _ => 10 };
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with new ioctls until Ctrl-C. The default." };
        var noFollow = new Option<bool>("--no-follow") { Description = "Ends after the last ioctls, without waiting for new ones." };
        var command = ContextTarget.CreateCommand("tail", "Shows the ioctls of a context as they happen, decoded in the manner of strace.");
        foreach (var option in (Option[])[lines, follow, noFollow])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(options =>
        {
            if (options.GetValue(follow) && options.GetValue(noFollow))
            {
                options.AddError("--follow and --no-follow can't be used together.");
            }
        });
        command.SetAction(async (options, cancellationToken) =>
        {
            await using var context = await ContextTarget.OpenAsync(options, cancellationToken);
            var first = await FirstAsync(context, options.GetValue(lines), cancellationToken);
            if (!options.GetValue(noFollow))
            {
                await FollowAsync(context, first, cancellationToken);
            }

            return 0;
        });
        return command;
    }

    private static async Task<TailReply> FirstAsync(ContextTarget context, int lines, CancellationToken cancellationToken)
    {
        var reply = await context.Client.TailAsync(context.Handle, new TailRequest(lines > 0 ? 0 : -1, 0, lines), cancellationToken);
        Write(reply);
        return reply;
    }

    private static async Task FollowAsync(ContextTarget context, TailReply last, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Pause);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            TailReply reply;
            try
            {
                reply = await context.Client.TailAsync(context.Handle, new TailRequest(last.Last, last.Activation, TailRequest.MaxLimit), cancellationToken);
            }
            catch (IommufdException exception) when (exception.Errno == Errno.EBADF)
            {
                Terminal.Line("--- the context is closed");
                return;
            }

            if (reply.Activation != last.Activation)
            {
                Terminal.Line("--- the context was restored on another silo");
            }

            if (reply.Missed > 0)
            {
                Terminal.Line($"--- {Format.Count(reply.Missed, "ioctl")} missed");
            }

            Write(reply);
            last = reply;
        }
    }

    // Plain text, so that it can be piped, and so that no name in an argument is taken for markup.
    private static void Write(TailReply reply)
    {
        foreach (var ioctl in reply.Ioctls)
        {
            Terminal.Line(string.Create(CultureInfo.InvariantCulture, $"{ioctl.Time.ToLocalTime():HH:mm:ss.ffffff} {IoctlText.Describe(ioctl)}"));
        }
    }
}
