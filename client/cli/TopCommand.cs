using System.CommandLine;
using IommuFd.GrainInterfaces;
using Spectre.Console;

namespace IommuFd.Cli;

/// <summary><c>iommufd top</c>: shows what the silos of a cluster do, and refreshes it.</summary>
internal static class TopCommand
{
    // How many contexts are asked for; the busiest of them are shown.
    private const int Asked = ContextQuery.MaxLimit;

    private static readonly ContextQuery Busiest = new("", ContextOrder.Ioctls, Descending: true, 0, Asked);

    public static Command Create()
    {
        var once = new Option<bool>("--once") { Description = "Prints the table once and ends." };
        var interval = new Option<double>("--interval") { Description = "Seconds between two refreshes.", DefaultValueFactory = _ => 1 };
        var command = new Command("top", "Shows silos, ioctl rates and times, errors and the busiest contexts, live. q or Ctrl-C ends it.") { once, interval };
        ConnectionOptions.AddTo(command);
        command.SetAction(async (options, cancellationToken) =>
        {
            ContextTarget.RequireService(options);
            var period = options.GetValue(interval) is >= 0.1 and <= 3600 and var seconds
                ? TimeSpan.FromSeconds(seconds)
                : throw new CliException("--interval must be from 0.1 to 3600 seconds.");
            await using var connection = await Connection.OpenAsync(options, cancellationToken);
            var monitor = connection.Grains.GetGrain<IMonitorGrain>(0);
            if (options.GetValue(once))
            {
                AnsiConsole.Console.Write(TopView.Render(await LookAsync(monitor), before: null));
                return 0;
            }

            await ShowAsync(AnsiConsole.Console, monitor, period, cancellationToken);
            return 0;
        });
        return command;
    }

    private static async Task ShowAsync(IAnsiConsole console, IMonitorGrain monitor, TimeSpan period, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var keys = WaitForQuitAsync(ended);
        try
        {
            var last = await LookAsync(monitor);
            await console.Live(TopView.Render(last, before: null)).AutoClear(false).StartAsync(async live =>
            {
                using var timer = new PeriodicTimer(period);
                while (await timer.WaitForNextTickAsync(ended.Token))
                {
                    var now = await LookAsync(monitor);
                    live.UpdateTarget(TopView.Render(now, last));
                    live.Refresh();
                    last = now;
                }
            });
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // q was pressed.
        }

        await ended.CancelAsync();
        await keys;
    }

    // Without a keyboard, only Ctrl-C ends the command.
    private static async Task WaitForQuitAsync(CancellationTokenSource ended)
    {
        if (Console.IsInputRedirected)
        {
            return;
        }

        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        try
        {
            while (await timer.WaitForNextTickAsync(ended.Token))
            {
                if (Console.KeyAvailable && Console.ReadKey(intercept: true).KeyChar is 'q' or 'Q')
                {
                    await ended.CancelAsync();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Ended.
        }
    }

    private static async Task<TopLook> LookAsync(IMonitorGrain monitor)
    {
        var (overview, contexts) = (monitor.OverviewAsync(new OverviewRequest(0)), monitor.ListContextsAsync(Busiest));
        return new TopLook(await overview, await contexts, TimeProvider.System.GetTimestamp());
    }
}

/// <summary>What one look at the cluster saw, and when.</summary>
internal sealed record TopLook(ClusterOverview Overview, ContextPage Contexts, long TimeStamp);
