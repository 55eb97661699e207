using IommuFd.TestSupport;
using Microsoft.Extensions.Logging;

namespace IommuFd.TelemetryTests;

/// <summary>Waits until a silo logs an event.</summary>
/// <param name="eventName">The event: the name of its method in the silo's log messages.</param>
internal sealed class AwaitedLog(string eventName) : ILoggerProvider, ILogger
{
    private readonly TaskCompletionSource _logged = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Hands it to a silo that is being built.</summary>
    public void Register(ISiloBuilder silo) => silo.ConfigureLogging(logging => logging.AddProvider(this).AddFilter<AwaitedLog>(null, LogLevel.Information));

    /// <summary>Waits until the event has been logged.</summary>
    public Task LoggedAsync() => _logged.Task.WaitAsync(Eventually.Limit);

    public ILogger CreateLogger(string categoryName) => this;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (eventId.Name == eventName)
        {
            _logged.TrySetResult();
        }
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public void Dispose()
    {
    }
}
