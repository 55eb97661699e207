using System.Net;
using IommuFd.Client;
using IommuFd.ClusterTests.Durability;
using IommuFd.GrainInterfaces;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace IommuFd.ClusterTests.Security;

/// <summary>Nothing that a silo logs, and no exception, has a handle, though Orleans names grains by their keys.</summary>
public sealed class HandleLeakTests
{
    [Theory]
    [InlineData("N")]
    [InlineData("D")]
    public void The_watch_finds_a_handle_of_an_open_context_and_no_other(string format)
    {
        var watch = new HandleWatch();
        var handle = ContextHandle.NewRandom();
        watch.Read($"grain {handle.Value.ToString(format)}/1, key {handle.Key}");
        Assert.Empty(watch.Leaks);

        watch.Opened(handle.Key.Tag);
        watch.Read($"{ContextHandle.NewRandom()}");
        Assert.Contains(handle.Value.ToString(format), Assert.Single(watch.Leaks), StringComparison.Ordinal);
        Assert.ThrowsAny<Exception>(watch.ExpectNone);
    }

    [Fact]
    public async Task A_process_that_has_printed_a_handle_fails_its_test_when_it_ends()
    {
        var (opened, other) = (ContextHandle.NewRandom(), ContextHandle.NewRandom());
        var process = ChildProcess.StartCommand([], "echo", $"      Context {opened.Key.Tag} opened in Durable mode by me\n      not open: {other}\n      open: {opened}");
        process.Watch = new HandleWatch();
        await process.WaitForExitAsync();

        var failure = await Assert.ThrowsAnyAsync<Exception>(async () => await process.DisposeAsync());

        Assert.Contains($"open: {opened}", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain($"{other}", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_watch_knows_the_contexts_that_a_silo_in_a_process_has_opened()
    {
        var port = Ports.Free();
        await using var silo = ChildProcess.Start("iommufd-silo.dll", $"--Silo:SiloPort={Ports.Free()}", $"--Silo:GatewayPort={port}", "--Journal:Store=none");
        silo.Watch = null;
        await silo.WaitForLineAsync("Ctrl-C drains and stops it.");
        using var host = GuardedSilo.Client(new IPEndPoint(IPAddress.Loopback, port));
        await host.StartAsync();
        var client = new IommufdClient(host.Services.GetRequiredService<IGrainFactory>());
        await using var context = await client.OpenAsync("first");

        // The silo logs who opens a context: here one who is called like another context's handle.
        await using var planter = await client.OpenAsync($"{context.Handle}");
        await silo.WaitForLineAsync($"Context {planter.Handle.Key.Tag} opened");
        await host.StopAsync();

        var watch = new HandleWatch();
        watch.ReadOutput(silo.Output);
        Assert.Contains($"by {context.Handle}", Assert.Single(watch.Leaks), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Warnings_of_Orleans_and_exceptions_name_a_context_by_its_key()
    {
        var texts = new List<string>();
        var path = Directory.CreateTempSubdirectory("iommufd-leaks").FullName;
        await using (var silo = await JournalSilo.StartAsync(
            Path.Combine(path, "journal.db"),
            configure: builder =>
            {
                // Every turn is a long one.
                builder.Configure<SchedulingOptions>(scheduling => scheduling.TurnWarningLengthThreshold = TimeSpan.FromTicks(1));
                builder.ConfigureLogging(logging => logging.AddProvider(new Texts(texts)).AddFilter<Texts>(null, LogLevel.Information));
            }))
        {
            var client = new IommufdClient(silo.Grains, new IommufdClientOptions { RetryFor = TimeSpan.Zero });
            await using var context = await client.OpenAsync("leaky");
            var ioas = await context.AllocateIoasAsync();

            // Orleans times turns by a clock of milliseconds and warns after the answer has left: most turns last no millisecond of it.
            await Eventually.TrueAsync(
                async () =>
                {
                    await context.SetHugePagesAsync(ioas, enable: false);
                    return HasKey();
                },
                "a warning that names the context's grain");
            await silo.StealAsync(context.Handle);
            var lost = await Assert.ThrowsAsync<IommufdTransportException>(async () => await context.AllocateIoasAsync());
            lock (texts)
            {
                texts.Add($"{lost}");
                Assert.DoesNotContain(texts, text => text.Replace("-", "", StringComparison.Ordinal).Contains($"{context.Handle}", StringComparison.OrdinalIgnoreCase));
            }

            bool HasKey()
            {
                lock (texts)
                {
                    return texts.Exists(text => text.Contains($"{context.Handle.Key}", StringComparison.OrdinalIgnoreCase));
                }
            }
        }

        Directory.Delete(path, recursive: true);
    }

    private sealed class Texts(List<string> texts) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (texts)
            {
                texts.Add($"{formatter(state, exception)} {exception}");
            }
        }

        public void Dispose()
        {
        }
    }
}
