namespace IommuFd.Silo.Clustering;

/// <summary>The cluster can't be joined, for a reason that whoever runs the silo can mend.</summary>
public sealed class ClusteringException(string message, Exception? innerException = null) : Exception(message, innerException);
